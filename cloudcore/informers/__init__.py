"""Informers: cached, indexed, followed views of the store, shared by controllers, scheduler and hub."""

from cloudcore.informers.cache import Cache, IndexFunction
from cloudcore.informers.factory import Informers
from cloudcore.informers.informer import Handler, Informer, all_synced
from cloudcore.informers.readyourwrites import ReadYourWrites, StaleCache
from cloudcore.informers.workqueue import AsyncWorkQueue, WorkQueue

__all__ = [
    "AsyncWorkQueue",
    "Cache",
    "Handler",
    "IndexFunction",
    "Informer",
    "Informers",
    "ReadYourWrites",
    "StaleCache",
    "WorkQueue",
    "all_synced",
]
