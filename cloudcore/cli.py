"""The ``cloudcore`` command.

``run`` checks the settings here and then becomes the daemon by exec, so that the daemon's process never loads what
only the command line needs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from cloudcore import config
from cloudcore.sockets import DATABASE, read_run_file
from protocol.commands import run_command
from protocol.errors import UsageError
from protocol.linkconfiguration import LinkSection
from protocol.objects.durations import parse_duration
from protocol.objects.resources import LEASES, NODE_LINKS, NODE_SYNCS, NODES
from protocol.objects.wellknown import EDGE_ROLE, NODE_LEASE_NAMESPACE

app = typer.Typer(
    name="cloudcore",
    help="The cloud side of aiokubeedge: one process is the whole control plane for a fleet of edge nodes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
token_app = typer.Typer(help="One-use tokens with which devices join.", no_args_is_help=True)
app.add_typer(token_app, name="token")

LONGEST_WAIT_S = 3000
"""A trace's own time is up after an hour."""
REFRESH_S = 2.0
"""How often a command with --watch asks again."""

DataDir = Annotated[
    Path, typer.Option("--data-dir", "-d", help="The daemon's data folder.", envvar="CLOUDCORE_DATA_DIR")
]


def _setting(name: str) -> Any:
    field = config.Settings.model_fields[name]
    default = f" (default: {field.default})" if field.default and isinstance(field.default, str | int | float) else ""
    return typer.Option(help=f"{field.description}{default}", show_default=False)


def _link_setting(name: str) -> Any:
    field = LinkSection.model_fields[name]
    return typer.Option(help=f"{field.description} (default: {field.default})", show_default=False)


@app.command()
def run(  # noqa: PLR0913, PLR0917 - one parameter for each flag is how typer declares them
    data_dir: Annotated[Path | None, _setting("data_dir")] = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", help="YAML file with settings. (default: cloudcore.yaml in the folder)")
    ] = None,
    store: Annotated[str | None, _setting("store")] = None,
    kubeconfig: Annotated[Path | None, _setting("kubeconfig")] = None,
    context: Annotated[str | None, _setting("context")] = None,
    kube_qps: Annotated[float | None, _setting("kube_qps")] = None,
    listen: Annotated[str | None, _setting("listen")] = None,
    advertise: Annotated[str | None, _setting("advertise")] = None,
    api_port: Annotated[int | None, _setting("api_port")] = None,
    ws_port: Annotated[int | None, _setting("ws_port")] = None,
    quic_port: Annotated[int | None, _setting("quic_port")] = None,
    enrol_port: Annotated[int | None, _setting("enrol_port")] = None,
    metrics_port: Annotated[int | None, _setting("metrics_port")] = None,
    max_pending_pods: Annotated[int | None, _setting("max_pending_pods")] = None,
    node_grace_s: Annotated[float | None, _setting("node_grace_s")] = None,
    heartbeat_s: Annotated[float | None, _setting("heartbeat_s")] = None,
    otlp_endpoint: Annotated[str | None, _setting("otlp_endpoint")] = None,
    link_linger_ms: Annotated[float | None, _link_setting("linger_ms")] = None,
    link_batch_bytes: Annotated[int | None, _link_setting("batch_bytes")] = None,
    link_min_bytes: Annotated[int | None, _link_setting("min_bytes")] = None,
    link_max_records: Annotated[int | None, _link_setting("max_records")] = None,
    link_compression: Annotated[str | None, _link_setting("compression")] = None,
    link_daily_bytes: Annotated[int | None, _link_setting("daily_bytes")] = None,
    log_level: Annotated[str | None, _setting("log_level")] = None,
    log_format: Annotated[str | None, _setting("log_format")] = None,
) -> None:
    """Run the daemon: Kubernetes API server, controllers, scheduler and the hub for edges.

    The first run makes the certificate authority and DATA_DIR/admin.kubeconfig.
    SIGTERM drains and stops, SIGHUP reads the settings again.
    """
    flags = {name: value for name, value in locals().items() if value is not None and name != "config_file"}
    settings = config.load(flags, config_file)
    handed = settings.model_dump(mode="json", exclude_unset=True)
    os.environ[config.RESOLVED] = json.dumps({"settings": handed, "flags": _plain(flags), "file": _text(config_file)})
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "cloudcore"])


@token_app.command("create")
def token_create(
    data_dir: DataDir,
    node: Annotated[str, typer.Option(help="Name of the node that may join with it.")],
    ttl: Annotated[str, typer.Option(help="Lifetime: seconds, or with a unit: 90s, 30m, 1h30m, 2d.")] = "1h",
) -> None:
    """Create a token with which one device may join as NODE, once. Prints the token alone."""
    from cloudcore.security.ca import CertificateAuthority  # noqa: PLC0415 - the other commands do without
    from cloudcore.security.tokenstore import NAMESPACE, create_token  # noqa: PLC0415
    from cloudcore.store.kubernetes import NAMESPACE as OWN_NAMESPACE  # noqa: PLC0415

    ttl_s = _duration_s("--ttl", ttl)
    if not (data_dir / "pki").is_dir():
        raise UsageError(f"no cloudcore has run in {data_dir}: start it with `cloudcore run --data-dir {data_dir}`")
    authority = CertificateAuthority.load(data_dir / "pki")
    namespace = OWN_NAMESPACE if _is_beside_a_cluster(data_dir) else NAMESPACE

    async def create(client: Any) -> str:
        return await create_token(client, authority, node, ttl_s, time.time(), namespace=namespace)

    typer.echo(_with_client(data_dir, create))


@app.command()
def nodes(
    data_dir: DataDir,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
) -> None:
    """Show each node's link: connected or not, round-trip time, lag, load."""
    from cloudcore.nodes import links_of_leases, node_rows, nodes_table  # noqa: PLC0415

    if output not in {"table", "json"}:
        raise UsageError(f"--output {output!r}: table or json")

    async def read(client: Any) -> tuple[list[Any], list[Any]]:
        if _is_beside_a_cluster(data_dir):
            leases = await client.list(LEASES, NODE_LEASE_NAMESPACE)
            return await client.list(NODES, label_selector=EDGE_ROLE), links_of_leases(leases, time.time())
        return await client.list(NODES), await client.list(NODE_LINKS)

    rows = node_rows(*_with_client(data_dir, read))
    if output == "json":
        typer.echo(json.dumps(rows, indent=1))
    else:
        nodes_table(rows)


@app.command()
def sync(
    data_dir: DataDir,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of the node.")],
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
    everything: Annotated[
        bool, typer.Option("--all", help="Show every pending object that the cloud lists: the 1,000 oldest.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again every two seconds, until Ctrl-C.")
    ] = False,
) -> None:
    """Show whether NODE holds what it should, and what is pending for it: since when, and why.

    The same as `kubectl get nodesync NODE -o yaml`. The cloud answers, also for a node that is away.
    """
    from cloudcore.syncing import FIRST, show_sync  # noqa: PLC0415

    _require_own_api(data_dir, "sync")
    if output not in {"table", "json"}:
        raise UsageError(f"--output {output!r}: table or json")

    async def read(client: Any) -> None:
        while True:
            sync = await client.get(NODE_SYNCS, "", node)
            if output == "json":
                typer.echo(json.dumps(sync, indent=1))
            else:
                show_sync(sync, time.time(), limit=None if everything else FIRST, clear=watch)
            if not watch:
                return
            await asyncio.sleep(REFRESH_S)

    _with_client(data_dir, read)


@app.command()
def trace(
    data_dir: DataDir,
    reference: Annotated[str, typer.Argument(metavar="KIND/NAME", help="The object, such as configmap/web.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")] = "default",
    node: Annotated[str, typer.Option("--node", help="Follow it to this node alone. (default: all)")] = "",
    wait: Annotated[str, typer.Option("--wait", help="How long to wait: seconds, or with a unit: 90s, 5m.")] = "30s",
    versions: Annotated[int, typer.Option("--versions", min=1, max=16, help="How many versions to follow.")] = 1,
    last: Annotated[
        bool, typer.Option("--last", help="Show the latest version that the cloud has sampled, at once.")
    ] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
) -> None:
    """Follow the next version of an object from its commit to each node's acknowledgement.

    Change the object from another terminal while this waits. Pods, config maps, secrets and whatever else travels to
    nodes can be followed; `kubectl get objecttraces` shows what is.
    """
    from cloudcore.timeline import follow, key_of, latest, show, timeline  # noqa: PLC0415

    _require_own_api(data_dir, "trace")
    if output not in {"table", "json"}:
        raise UsageError(f"--output {output!r}: table or json")
    wait_s, key = _duration_s("--wait", wait), key_of(reference, namespace)
    if wait_s > LONGEST_WAIT_S:
        raise UsageError(f"--wait {wait}: at most {LONGEST_WAIT_S // 60} minutes")
    if not last:
        typer.echo(f"waiting up to {wait_s} s for a new version of {key.resource} {key.name}", err=True)
    found = _with_client(
        data_dir,
        lambda client: (
            latest(client, key, node) if last else follow(client, key, node, versions=versions, wait_s=wait_s)
        ),
    )
    if output == "json":
        typer.echo(json.dumps(found, indent=1))
    else:
        show(timeline(key, found))


@app.command()
def twin(
    data_dir: DataDir,
    name: Annotated[str, typer.Argument(metavar="DEVICE", help="The Device's name.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")] = "default",
    history: Annotated[bool, typer.Option("--history", help="Show what it has reported too, the newest 1000.")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
) -> None:
    """Show what is wanted of a device, what its node knows of that, and what the device has reported."""
    from cloudcore.twins import read, show  # noqa: PLC0415

    _require_own_api(data_dir, "twin")
    if output not in {"table", "json"}:
        raise UsageError(f"--output {output!r}: table or json")
    found = _with_client(data_dir, lambda client: read(client, namespace, name, history=history))
    if output == "json":
        typer.echo(json.dumps(found, indent=1))
    else:
        show(found)


@app.command()
def status(data_dir: DataDir) -> None:
    """Show where the daemon of this data folder listens and whether it runs."""
    from cloudcore.nodes import status_table  # noqa: PLC0415

    recorded = read_run_file(data_dir)
    if not recorded:
        raise UsageError(f"no cloudcore has run in {data_dir}: start it with `cloudcore run --data-dir {data_dir}`")
    if not status_table(recorded):
        raise typer.Exit(1)


@app.command()
def backup(
    data_dir: DataDir,
    to: Annotated[Path, typer.Argument(help="File to write.")],
) -> None:
    """Copy the database to a file, whether or not the daemon runs."""
    from cloudcore.store.sqlite import backup as copy  # noqa: PLC0415

    copy(data_dir / DATABASE, to)
    typer.echo(f"backed up to {to}")


@app.command()
def restore(
    data_dir: DataDir,
    source: Annotated[Path, typer.Argument(metavar="FROM", help="A file that `cloudcore backup` wrote.")],
) -> None:
    """Put a backup in the place of the database; what was there is kept aside.

    The daemon must be stopped. Edges are brought to the restored state when they reconnect.
    """
    from cloudcore.store.sqlite import restore as put_back  # noqa: PLC0415

    put_back(source, data_dir / DATABASE)
    typer.echo(f"restored from {source}; start the daemon to serve it")


@app.command("install-service")
def install_service(
    data_dir: DataDir,
    user: Annotated[str, typer.Option(help="Whom it runs as; the data folder becomes theirs.")] = "root",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the systemd unit, and do nothing.")] = False,
) -> None:
    """Have systemd run the daemon, from now on and at each boot. Settings go into DATA_DIR/cloudcore.yaml."""
    from protocol.services import Service, install, require_systemd  # noqa: PLC0415 - the other commands do without

    service = Service("cloudcore", Path(sys.executable), data_dir.expanduser().absolute(), user)
    if dry_run:
        typer.echo(service.unit(), nl=False)
        return
    require_systemd()
    _give(service.data_dir, user)
    typer.echo(f"the daemon runs as {install(service)}")


def _give(folder: Path, user: str) -> None:
    """Make ``folder``, and give it and what is in it to ``user``.

    Raises:
        UsageError: There is no such user, or it cannot be done.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user)
    except (OSError, LookupError) as error:
        raise UsageError(f"cannot give {folder} to {user}: {error}") from error


@app.command()
def manifests() -> None:
    """Print what a Kubernetes cluster needs for `run --store kubernetes`: a namespace, an account, its rights.

    For `kubectl apply -f -`.
    """
    import yaml  # noqa: PLC0415

    from cloudcore.manifests import manifests as wanted  # noqa: PLC0415

    typer.echo(yaml.safe_dump_all(wanted(), sort_keys=False), nl=False)


@app.command()
def version() -> None:
    """Show the version."""
    from importlib.metadata import version as installed  # noqa: PLC0415

    typer.echo(f"cloudcore {installed('aiokubeedge')}")


def _duration_s(option: str, text: str) -> int:
    """Return the seconds that an option names.

    Raises:
        UsageError: It is no duration, or not above zero.
    """
    try:
        seconds = parse_duration(text)
    except ValueError as exc:
        raise UsageError(f"{exc}: write 90s, 30m, 1h30m or 2d") from None
    if not seconds:
        raise UsageError(f"{option} {text}: it must be above zero")
    return seconds


def _with_client(data_dir: Path, call: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    from cloudcore.rest import RestClient  # noqa: PLC0415

    async def within() -> Any:
        if _is_beside_a_cluster(data_dir):
            async with _cluster_session(data_dir) as session:
                return await call(RestClient(session))
        async with RestClient(data_dir / "admin.kubeconfig") as client:
            return await call(client)

    return asyncio.run(within())


def _require_own_api(data_dir: Path, command: str) -> None:
    """Refuse what is asked of kinds that are computed, not stored: a cluster's API server does not have them.

    Raises:
        UsageError: This cloudcore works beside a cluster.
    """
    if _is_beside_a_cluster(data_dir):
        raise UsageError(f"`cloudcore {command}` needs cloudcore's own API: with --store kubernetes there is none yet")


def _is_beside_a_cluster(data_dir: Path) -> bool:
    return read_run_file(data_dir).get("store") == "kubernetes"


def _cluster_session(data_dir: Path) -> Any:
    from cloudcore.store.kubernetes import ApiSession, InClusterAccess, KubeconfigAccess  # noqa: PLC0415

    recorded = read_run_file(data_dir)
    path, context = str(recorded.get("kubeconfig") or ""), str(recorded.get("context") or "")
    return ApiSession(KubeconfigAccess(Path(path), context) if path else InClusterAccess())


def _plain(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: _text(value) if isinstance(value, Path) else value for name, value in flags.items()}


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def main() -> None:
    """Run the command; errors are one line. Exit status 2: wrong use; 1: it could not be done."""
    run_command("cloudcore", app)


if __name__ == "__main__":  # how the systemd unit starts it
    main()
