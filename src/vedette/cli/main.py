"""``vedette``: the list of commands, and the one place where an error becomes text and an exit code."""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import typer
from typer.main import get_command

from vedette import __version__
from vedette.cli.lazy import CommandSpec, LazyGroup
from vedette.contracts.errors import ERROR_CODES, VedetteError

_START, _OPERATE, _CHECK = "Cameras to alerts", "What was seen", "Prepare and check"
_FLEET: Final = "A fleet"

COMMANDS: Final = (
    CommandSpec("run", "vedette.cli.run:run", "Run an application on this machine, live.", _START),
    CommandSpec("backtest", "vedette.cli.backtest:backtest", "Put recordings through an application.", _START),
    CommandSpec("demo", "vedette.cli.demo:demo", "Watch it work: simulated cameras, real components.", _START),
    CommandSpec("validate", "vedette.cli.validate:validate", "Find every mistake of a vedette.yaml.", _CHECK),
    CommandSpec(
        "import-panorama",
        "vedette.cli.import_panorama:import_panorama",
        "Make an application of a Panorama project.",
        _CHECK,
    ),
    CommandSpec("doctor", "vedette.cli.doctor:doctor", "Check this machine, or the account.", _CHECK),
    CommandSpec("cost", "vedette.cli.cost:cost", "What a fleet costs, beside what Panorama charged.", _CHECK),
    CommandSpec("plan", "vedette.cli.plan:plan", "A fleet of a size beside the account's quotas.", _CHECK),
    CommandSpec(
        "model",
        "",
        "Models: on this machine, and made ready for devices by the account.",
        _CHECK,
        children=(
            CommandSpec("add", "vedette.cli.model:add", "Store a model, by name, file or https address."),
            CommandSpec("list", "vedette.cli.model:list_", "What is stored, and what is known."),
            CommandSpec("show", "vedette.cli.model:show", "Everything about one model."),
            CommandSpec("remove", "vedette.cli.model:remove", "Take a model out of the store."),
            CommandSpec("inspect", "vedette.cli.model_inspect:inspect", "What a model file is, and what can run it."),
            CommandSpec("train", "vedette.cli.model_train:train", "Train an example's own model."),
            CommandSpec("compile", "vedette.cli.model_compile:compile_", "Make a model ready for kinds of devices."),
            CommandSpec("optimize", "vedette.cli.model_optimize:optimize", "Make a smaller copy, and compare the two."),
            CommandSpec("status", "vedette.cli.model_status:status", "Where models stand in the account."),
        ),
    ),
    CommandSpec(
        "cloud",
        "",
        "The account: one on this machine (up, status, env, down), or your own (cdk).",
        _FLEET,
        children=(
            CommandSpec("up", "vedette.cli.cloud:up", "Start it and deploy every stack."),
            CommandSpec("status", "vedette.cli.cloud:status", "What it holds and did."),
            CommandSpec("env", "vedette.cli.cloud:env", "Variables by which tools find it."),
            CommandSpec("down", "vedette.cli.cloud:down", "Stop it."),
            CommandSpec("cdk", "vedette.cli.cloud_cdk:cdk", "The CDK, on an account of your own.", passes_on=True),
        ),
    ),
    CommandSpec(
        "device",
        "",
        "Devices of the fleet, from register to retire.",
        _FLEET,
        children=(
            CommandSpec("register", "vedette.cli.device_register:register", "Make a device, and its bundle."),
            CommandSpec("list", "vedette.cli.device_list:list_", "A fleet's devices, each in a line."),
            CommandSpec("show", "vedette.cli.device_show:show", "Everything about one device."),
            CommandSpec("log-level", "vedette.cli.device_document:log_level", "What a device logs, from now on."),
            CommandSpec("diagnose", "vedette.cli.device_document:diagnose", "Ask a device how it is, in one file."),
            CommandSpec("update", "vedette.cli.device_update:update", "Another nucleus or runtime, ring by ring."),
            CommandSpec("reboot", "vedette.cli.device_reboot:reboot", "Restart machines."),
            CommandSpec("retire", "vedette.cli.device_retire:retire", "Take a device out of the fleet for good."),
        ),
    ),
    CommandSpec("build", "vedette.cli.build:build", "Build our components for deployment.", _FLEET),
    CommandSpec("sbom", "vedette.cli.sbom:sbom", "Which software is in it: a bill of materials.", _FLEET),
    CommandSpec("publish", "vedette.cli.publish:publish", "Bring built components into the account.", _FLEET),
    CommandSpec("deploy", "vedette.cli.deploy:deploy", "Roll an application out to a fleet, ring by ring.", _FLEET),
    CommandSpec("status", "vedette.cli.status:status", "What runs: on this machine, a fleet, a device.", _FLEET),
    CommandSpec("logs", "vedette.cli.logs:logs", "Logs of a device's components, from the account.", _FLEET),
    CommandSpec("rollback", "vedette.cli.rollback:rollback", "Give devices back what they ran before.", _FLEET),
    CommandSpec("remove", "vedette.cli.remove:remove", "Take an application from devices.", _FLEET),
    CommandSpec("abort", "vedette.cli.rollback:abort", "Stop a rollout and take it back.", _FLEET),
    CommandSpec(
        "camera",
        "",
        "Cameras: simulate, probe, discover; of a device of the fleet: add, list, remove, pause, resume.",
        _CHECK,
        children=(
            CommandSpec("simulate", "vedette.cli.camera_simulate:simulate", "Serve files as RTSP cameras."),
            CommandSpec("probe", "vedette.cli.camera_probe:probe", "Look at one camera and give advice."),
            CommandSpec("discover", "vedette.cli.camera_discover:discover", "Find the cameras of this network."),
            CommandSpec("add", "vedette.cli.camera_fleet:add", "Give a device of the fleet a camera."),
            CommandSpec("list", "vedette.cli.camera_fleet:list_", "A device's cameras, asked for and as they are."),
            CommandSpec("remove", "vedette.cli.camera_fleet:remove", "Take a camera from a device."),
            CommandSpec("pause", "vedette.cli.camera_fleet:pause", "Let a camera rest."),
            CommandSpec("resume", "vedette.cli.camera_fleet:resume", "Let a camera go on."),
        ),
    ),
    CommandSpec(
        "code",
        "",
        "Barcodes and two-dimensional codes: try a picture.",
        _CHECK,
        children=(CommandSpec("read", "vedette.cli.code_read:read", "Read the codes in pictures and recordings."),),
    ),
    CommandSpec(
        "insights",
        "",
        "Insights: draw heat maps.",
        _OPERATE,
        children=(
            CommandSpec("heatmap", "vedette.cli.insights_heatmap:heatmap", "Draw where people were over a picture."),
        ),
    ),
    CommandSpec(
        "action",
        "",
        "Actions: try one out.",
        _CHECK,
        children=(CommandSpec("test", "vedette.cli.action_test:try_out", "Send one test alert through one action."),),
    ),
    CommandSpec(
        "app",
        "",
        "Applications: make, test, draw, change and show parameters, attach, detach.",
        _CHECK,
        children=(
            CommandSpec("init", "vedette.cli.app_init:init", "Make a new application from a template."),
            CommandSpec("test", "vedette.cli.app_test:check", "Run its recordings against the alerts it must give."),
            CommandSpec("draw", "vedette.cli.app_draw:draw", "Draw its zones and lines into pictures of its cameras."),
            CommandSpec("set", "vedette.cli.app_parameters:set_", "Change parameters of a running application."),
            CommandSpec("get", "vedette.cli.app_parameters:get", "Show parameters and who set them."),
            CommandSpec("try", "vedette.cli.app_try:try_", "Compare a version with the one that runs here."),
            CommandSpec("attach", "vedette.cli.app_attach:attach", "Attach an application and stay (component entry)."),
            CommandSpec("detach", "vedette.cli.app_attach:detach", "Take an application away."),
        ),
    ),
    CommandSpec("view", "vedette.cli.view:view", "Look at what Panorama code draws, live.", _OPERATE),
    CommandSpec(
        "evidence",
        "",
        "Pictures and video of alerts: list, show, open.",
        _OPERATE,
        children=(
            CommandSpec("list", "vedette.cli.evidence:list_", "What is kept of alerts on this machine."),
            CommandSpec("show", "vedette.cli.evidence:show", "What is kept of one alert, and what is missing."),
            CommandSpec("open", "vedette.cli.evidence:open_", "Look at an alert's picture and clip in a browser."),
        ),
    ),
    CommandSpec(
        "incident",
        "",
        "What happened once: make it a test.",
        _OPERATE,
        children=(CommandSpec("save", "vedette.cli.incident:save", "Make an alert and its clip a test."),),
    ),
    CommandSpec(
        "schema",
        "",
        "Schemas of everything that crosses a process or the network.",
        _CHECK,
        hidden=True,
        children=(
            CommandSpec("export", "vedette.cli.schema:export", "Write the JSON Schemas to a directory."),
            CommandSpec("tables", "vedette.cli.schema:tables", "Print the tables of docs/manifest.md."),
            CommandSpec("devices", "vedette.cli.schema:devices", "Print the tables of docs/devices.md."),
        ),
    ),
)

_EPILOG: Final = """Examples:

vedette demo

vedette model add yolox_nano

vedette validate examples/people_flow/vedette.yaml

vedette run vedette.yaml --camera hall=rtsp://10.0.0.7/stream

vedette backtest vedette.yaml --camera hall=recording.mp4 --json

vedette deploy examples/people_flow --fleet main --bind hall=cam-1
"""

#: sysexits.h: EX_SOFTWARE, a fault of ours.
_EXIT_FAULT: Final = 70
_EXIT_PIPE: Final = 141


class _Root(LazyGroup):
    """The top of the command line."""

    specs = COMMANDS


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"vedette {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Real-time alerts from the IP cameras a site already has, on hardware the site owns."""


def build() -> typer.Typer:
    """The command line; imports no command."""
    app = typer.Typer(cls=_Root, add_completion=False, pretty_exceptions_enable=False)
    app.callback(epilog=_EPILOG)(_root)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process: 0 all is well, 1 an error that was explained, 2 a wrong call."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = os.environ.get("VEDETTE_DEBUG", "") not in ("", "0")
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    _survive_poor_encodings()
    try:
        get_command(build()).main(args=arguments, prog_name="vedette")
    except VedetteError as error:
        if debug:
            traceback.print_exc()
        print_error(error, as_json=_wants_json(arguments))
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has gone, which is no mistake; what is still in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(_EXIT_PIPE)
    except Exception as error:  # noqa: BLE001 - edge of the process: a user never sees a stack trace unasked
        if debug:
            traceback.print_exc()
        print_fault(error, as_json=_wants_json(arguments))
        sys.exit(_EXIT_FAULT)


def _survive_poor_encodings() -> None:
    """A title with an umlaut must not end a run whose terminal or pipe knows ASCII only."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def error_document(error: VedetteError) -> dict[str, str]:
    """An error as JSON."""
    return {
        "code": error.code,
        "title": ERROR_CODES[error.code].title,
        "message": error.message,
        "hint": error.hint,
        "documentation": documentation(error.code),
    }


def documentation(code: str) -> str:
    """Where a code is explained."""
    return f"docs/errors.md#{code.lower()}"


def print_error(error: VedetteError, *, as_json: bool = False) -> None:
    """Code, message, what to do, where it is explained, on standard error."""
    if as_json:
        _print_json({"error": error_document(error)})
        return
    title = ERROR_CODES[error.code].title
    _print_lines(f"error {error.code}", title, [error.message, error.hint], f"More: {documentation(error.code)}")


def print_fault(error: Exception, *, as_json: bool = False) -> None:
    """A mistake of this program."""
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    if as_json:
        _print_json({"error": {"code": "", "title": "fault of vedette", "message": text, "hint": ""}})
        return
    _print_lines(
        "error",
        "fault of vedette itself",
        [text],
        "Please report it, with what VEDETTE_DEBUG=1 prints before the same command.",
    )


def _print_json(document: Mapping[str, object]) -> None:
    import json

    print(json.dumps(document), file=sys.stderr)


def _print_lines(label: str, title: str, paragraphs: Sequence[str], footer: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble((label, "bold red"), (f" {title}", "bold")))
    for paragraph in paragraphs:
        if paragraph:
            console.print(Text(paragraph))
    console.print(Text(footer, "dim"))


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether ``--json`` was given as a switch; `run` takes a file with it."""
    return "--json" in arguments and arguments[0] != "run"
