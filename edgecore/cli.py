"""The ``edgecore`` command.

``run`` checks the settings here and then becomes the daemon by exec, so that the agent's process never loads what only
the command line needs. ``join`` is the only one that loads cryptography.
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgecore import config
from edgecore.settings import RESOLVED
from protocol.commands import run_command
from protocol.errors import UsageError
from protocol.linkconfiguration import LinkSection
from protocol.objects.keys import NodeName
from protocol.services import Service, install, require_systemd

app = typer.Typer(
    name="edgecore",
    help="The edge side of aiokubeedge: runs pods on a device, with or without its cloud.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DataDir = Annotated[Path, typer.Option("--data-dir", "-d", help="The agent's data folder.", envvar="EDGECORE_DATA_DIR")]


class Output(StrEnum):
    """Forms of output."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Form of the output.")]


def _setting(name: str, *names: str) -> Any:
    field = config.Settings.model_fields[name]
    default = f" (default: {field.default})" if field.default and isinstance(field.default, str | int | float) else ""
    return typer.Option(*names, help=f"{field.description}{default}", show_default=False)


def _link_setting(name: str) -> Any:
    field = LinkSection.model_fields[name]
    return typer.Option(help=f"{field.description} (default: {field.default})", show_default=False)


@app.command()
def join(  # noqa: PLR0913, PLR0917
    data_dir: DataDir,
    server: Annotated[str, typer.Option(help="Enrolment address of the cloud: https://HOST:10002.")],
    node_name: Annotated[str, typer.Option(help="Name of this node; the token must be for it.")],
    token: Annotated[str, typer.Option(help="Token of `cloudcore token create`.", envvar="EDGECORE_TOKEN")] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token, so that it shows in no process list; - reads stdin.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Label of the Node, k=v; may be given again.")] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="Runtime for pods (process or docker); may be given again, the first is for pods that name none. "
            "(default: process, and docker where a Docker Engine answers)"
        ),
    ] = None,
    docker_host: Annotated[
        str, typer.Option(help="Where a Docker Engine is looked for.", envvar="EDGECORE_DOCKER_HOST")
    ] = config.Settings.model_fields["docker_host"].default,
    install_service: Annotated[
        bool, typer.Option("--install-service", help="Have systemd run the agent, from now on and at each boot.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --install-service: print the systemd unit, and do nothing.")
    ] = False,
) -> None:
    """Make this device a node of a cloud. Repeating it with the same token is safe."""
    service = Service("edgecore", Path(sys.executable), data_dir.expanduser().absolute())
    if dry_run:
        if not install_service:
            raise UsageError("--dry-run goes with --install-service")
        typer.echo(service.unit(), nl=False)
        return
    if install_service:
        require_systemd()  # before the token is used up
    from edgecore.join import Request, join  # noqa: PLC0415 - cryptography costs 8 MB and 50 ms
    from edgecore.node.identity import DataFolder  # noqa: PLC0415
    from edgecore.node.runtimes import docker_answers  # noqa: PLC0415

    runtimes = tuple(runtime or ["process", *(["docker"] if docker_answers(docker_host) else [])])
    unknown = set(runtimes) - set(config.RUNTIMES)
    if unknown:
        raise UsageError(f"--runtime {unknown.pop()!r}: this edgecore has {', '.join(config.RUNTIMES)}")
    request = Request(server, _token(token, token_file), NodeName(node_name), _labels(label or []), runtimes)
    identity = join(DataFolder(data_dir.expanduser().absolute()), request)
    if "docker" in runtimes and not runtime:
        typer.echo(f"found a Docker Engine at {docker_host}: pods of RuntimeClass docker can run here")
    if install_service:
        typer.echo(f"joined as node {identity.node}; the agent runs as {install(service)}")
    else:
        typer.echo(f"joined as node {identity.node}; start the agent: edgecore run --data-dir {data_dir}")


@app.command()
def run(  # noqa: PLR0913, PLR0917
    data_dir: Annotated[Path | None, _setting("data_dir", "--data-dir", "-d")] = None,
    config_file: Annotated[
        Path | None, typer.Option("--config", help="YAML file with settings. (default: edgecore.yaml in the folder)")
    ] = None,
    stop_pods: Annotated[bool | None, _setting("stop_pods")] = None,
    offline: Annotated[bool | None, _setting("offline")] = None,
    node_name: Annotated[str | None, _setting("node_name")] = None,
    static_pods: Annotated[Path | None, _setting("static_pods")] = None,
    max_pods: Annotated[int | None, _setting("max_pods")] = None,
    hub: Annotated[str | None, _setting("hub")] = None,
    status_s: Annotated[float | None, _setting("status_s")] = None,
    reserved_memory_mib: Annotated[int | None, _setting("reserved_memory_mib")] = None,
    metrics_port: Annotated[int | None, _setting("metrics_port")] = None,
    metaserver: Annotated[bool | None, _setting("metaserver", "--metaserver/--no-metaserver")] = None,
    metaserver_port: Annotated[int | None, _setting("metaserver_port")] = None,
    runtimes: Annotated[str | None, _setting("runtimes")] = None,
    docker_host: Annotated[str | None, _setting("docker_host")] = None,
    docker_network: Annotated[str | None, _setting("docker_network")] = None,
    docker_pause_image: Annotated[str | None, _setting("docker_pause_image")] = None,
    container_pids: Annotated[int | None, _setting("container_pids")] = None,
    pod_pids: Annotated[int | None, _setting("pod_pids")] = None,
    cgroup_root: Annotated[str | None, _setting("cgroup_root")] = None,
    enforce_allocatable: Annotated[bool | None, _setting("enforce_allocatable")] = None,
    eviction_hard: Annotated[str | None, _setting("eviction_hard")] = None,
    eviction_soft: Annotated[str | None, _setting("eviction_soft")] = None,
    eviction_soft_grace_period: Annotated[str | None, _setting("eviction_soft_grace_period")] = None,
    eviction_minimum_reclaim: Annotated[str | None, _setting("eviction_minimum_reclaim")] = None,
    eviction_max_pod_grace_period: Annotated[int | None, _setting("eviction_max_pod_grace_period")] = None,
    eviction_pressure_transition_period: Annotated[str | None, _setting("eviction_pressure_transition_period")] = None,
    mqtt: Annotated[str | None, _setting("mqtt")] = None,
    mqtt_user: Annotated[str | None, _setting("mqtt_user")] = None,
    mqtt_password_file: Annotated[Path | None, _setting("mqtt_password_file")] = None,
    mqtt_ca: Annotated[Path | None, _setting("mqtt_ca")] = None,
    mqtt_certificate: Annotated[Path | None, _setting("mqtt_certificate")] = None,
    mqtt_version: Annotated[str | None, _setting("mqtt_version")] = None,
    device_rate: Annotated[float | None, _setting("device_rate")] = None,
    link_linger_ms: Annotated[float | None, _link_setting("linger_ms")] = None,
    link_batch_bytes: Annotated[int | None, _link_setting("batch_bytes")] = None,
    link_min_bytes: Annotated[int | None, _link_setting("min_bytes")] = None,
    link_max_records: Annotated[int | None, _link_setting("max_records")] = None,
    link_compression: Annotated[str | None, _link_setting("compression")] = None,
    link_daily_bytes: Annotated[int | None, _link_setting("daily_bytes")] = None,
    log_level: Annotated[str | None, _setting("log_level")] = None,
    log_format: Annotated[str | None, _setting("log_format")] = None,
) -> None:
    """Run the agent.

    SIGTERM ends it and leaves the pods running, unless --stop-pods; SIGHUP reads the log settings again.
    """
    flags = {name: value for name, value in locals().items() if value is not None and name != "config_file"}
    settings = config.load(flags, config_file)
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in flags.items()}
    os.environ[RESOLVED] = json.dumps(
        {
            "settings": settings.model_dump(mode="json"),
            "flags": plain,
            "file": "" if config_file is None else str(config_file.absolute()),
        }
    )
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "edgecore"])


@app.command()
def status(data_dir: DataDir, output: OutputOption = Output.TABLE) -> None:
    """Show this node's agent and its link, from the data folder alone."""
    from edgecore import local  # noqa: PLC0415
    from edgecore.tables import status_table  # noqa: PLC0415 - rich is slow to load

    shown = local.status_of(local.read(data_dir))
    if output is Output.JSON:
        typer.echo(json.dumps(shown, indent=1))
    else:
        status_table(shown, local.wall_clock())


@app.command()
def pods(data_dir: DataDir, output: OutputOption = Output.TABLE) -> None:
    """Show the pods of this node, from the data folder alone."""
    from edgecore import local  # noqa: PLC0415
    from edgecore.tables import pods_table  # noqa: PLC0415

    rows = local.pods_of(local.read(data_dir), local.wall_clock())
    if output is Output.JSON:
        typer.echo(json.dumps(rows, indent=1))
    else:
        pods_table(rows)


@app.command()
def writes(data_dir: DataDir, output: OutputOption = Output.TABLE) -> None:
    """Show pods' writes that wait for the cloud, and those it has refused, from the data folder alone."""
    from edgecore.metaserver.writeview import rows_of  # noqa: PLC0415
    from edgecore.node.identity import DataFolder  # noqa: PLC0415
    from edgecore.tables import writes_table  # noqa: PLC0415

    rows = rows_of(DataFolder(data_dir.expanduser().absolute()).writes)
    if output is Output.JSON:
        typer.echo(json.dumps(rows, indent=1))
    else:
        writes_table(rows)


@app.command()
def kubeconfig(data_dir: DataDir) -> None:
    """Print a kubeconfig with which this device's administrator reads what the device holds, cloud or no cloud."""
    from edgecore.node.identity import DataFolder  # noqa: PLC0415

    path = DataFolder(data_dir.expanduser().absolute()).metaserver / "kubeconfig"
    try:
        typer.echo(path.read_text())
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror or error}; an agent that serves its API (--metaserver) writes it"
        ) from error


@app.command()
def twin(
    data_dir: DataDir,
    name: Annotated[str, typer.Argument(help="The device: NAME or NAMESPACE/NAME.")],
    history: Annotated[bool, typer.Option("--history", help="Show what the device has reported, in order.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="With --history: so many reports at most, the newest.")] = 100,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the twin of a device of this node: desired, reported, versions and conflicts; from the data folder alone."""
    from edgecore.node.identity import DataFolder  # noqa: PLC0415
    from edgecore.tables import history_table, twin_table  # noqa: PLC0415
    from edgecore.twin.view import history_view, twin_view  # noqa: PLC0415

    path = DataFolder(data_dir.expanduser().absolute()).twins
    if history:
        rows = history_view(path, name, limit)
        typer.echo(json.dumps(rows, indent=1)) if output is Output.JSON else history_table(rows)
        return
    shown = twin_view(path, name)
    typer.echo(json.dumps(shown, indent=1)) if output is Output.JSON else twin_table(shown)


@app.command()
def version() -> None:
    """Show the version."""
    from importlib.metadata import version as installed  # noqa: PLC0415

    typer.echo(f"edgecore {installed('aiokubeedge')}")


def _token(token: str, token_file: Path | None) -> str:
    if bool(token) == bool(token_file):
        raise UsageError("give the token with --token or with --token-file")
    if token_file is None:
        return token.strip()
    try:
        text = sys.stdin.read() if str(token_file) == "-" else token_file.read_text()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the token from {token_file}: {error}") from error
    return text.strip()


def _labels(pairs: list[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageError(f"--label {pair!r}: write k=v")
        labels[key] = value
    return labels


def main() -> None:
    """Run the command; errors are one line. Exit status 2: wrong use; 1: it could not be done."""
    run_command("edgecore", app)


if __name__ == "__main__":  # how the systemd unit starts it
    main()
