"""``vedette model train``: an example's own ``train.py``, on this machine or as a SageMaker training job."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.models import CloudModels
from vedette.adapters.aws.training import CloudTraining, TrainingRequest
from vedette.adapters.models.described import described_model
from vedette.adapters.models.training import train_locally
from vedette.cli.model_compile import Json, Wait, follow
from vedette.cli.model_status import Stage
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.errors import UsageError
from vedette.contracts.model_card import CARD_NAME
from vedette.core.fleet.model_yaml import parse_model_card

_INSTANCE: Final = "ml.g5.xlarge"


def train(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="With train.py in it.")],
    data: Annotated[str, typer.Option(metavar="PATH|s3://", help="Training data; none where it makes its own.")] = "",
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Given to it as --NAME VALUE.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="On this machine, without an account.")] = False,
    out: Annotated[Path, typer.Option(help="With --local: directory for the model.")] = Path("model"),
    python: Annotated[str, typer.Option(help="With --local: interpreter that has what train.py needs.")] = "",
    image: Annotated[str, typer.Option(help="Training image; AWS's own for PyTorch where the region has one.")] = "",
    instance: Annotated[str, typer.Option(help="SageMaker's kind of machine.")] = _INSTANCE,
    wait: Wait = False,
    stage: Stage = DEFAULT_STAGE,
    json_: Json = False,
) -> None:
    """Train. The program writes its model and model.yaml into SM_MODEL_DIR; in the account they are compiled at once.

    Examples:
    vedette model train examples/quality_control --local -p quick=1

    vedette model train ./mine --data s3://BUCKET/datasets/mine/ --wait
    """
    parameters = _parameters(parameter or [])
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if local:
        if data.startswith("s3://"):
            raise UsageError(
                "--local takes data of this machine.", hint=f"Type first: aws s3 cp --recursive {data} data"
            )
        train_locally(
            directory,
            Path(data) if data else None,
            out,
            parameters,
            lambda line: console.print(escape(line)),
            python or sys.executable,
        )
        card, file = described_model(out)
        console.print(f"{card.name} {card.version}: {escape(str(file))}")
        console.print(f"Next: vedette model compile {escape(str(out))} --local")
        return
    _in_the_account(directory, data, parameters, image, instance, stage, console, wait=wait, json_=json_)


def _in_the_account(
    directory: Path,
    data: str,
    parameters: dict[str, str],
    image: str,
    instance: str,
    stage: str,
    console: Console,
    *,
    wait: bool,
    json_: bool,
) -> None:
    account = Account(stage)
    models, training = CloudModels(account), CloudTraining(account)
    now = models.now()
    card_file = directory / CARD_NAME
    if not card_file.is_file():
        raise UsageError(
            f"there is no {CARD_NAME} in {directory}, which says what the model is called and which devices it is for.",
            hint="train.py copies it beside the model; see docs/models.md, training.",
        )
    card = parse_model_card(card_file.read_bytes(), str(card_file))
    request = TrainingRequest(card.name, directory, data, parameters, instance, image)

    def say(text: str) -> None:
        console.print(f"{datetime.now().astimezone():%H:%M:%S} {escape(text)}")

    job = training.start(request, now, say)
    console.print(f"training job {job} started")
    if not wait:
        console.print(f"What it makes is compiled by itself: vedette model status {card.name} --watch")
        return
    training.follow(job, say)
    follow(models, card, now, json_=json_)


def _parameters(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in given:
        name, is_there, value = entry.partition("=")
        if not is_there or not name.replace("_", "").replace("-", "").isalnum() or name.startswith(("-", "sagemaker")):
            raise UsageError(f"--parameter {entry!r} is not NAME=VALUE.", hint="Such as: --parameter epochs=3")
        found[name] = value
    return found
