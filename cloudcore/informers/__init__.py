"""Informers: cached, indexed, followed views of the store, shared by controllers, scheduler and hub."""

from cloudcore.informers.asyncqueue import AsyncWorkQueue
from cloudcore.informers.cache import Cache, IndexFunction
from cloudcore.informers.factory import Informers
from cloudcore.informers.informer import Handler, Informer, all_synced
from cloudcore.informers.readyourwrites import ReadYourWrites
from cloudcore.informers.workqueue import WorkQueue

__all__ = [
    "AsyncWorkQueue",
    "Cache",
    "Handler",
    "IndexFunction",
    "Informer",
    "Informers",
    "ReadYourWrites",
    "WorkQueue",
    "all_synced",
]
