"""An alarm: on one metric, to the operators, with the section of the runbooks that says what to do."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.settings import Settings

#: No figure is good news.
FINE = cloudwatch.TreatMissingData.NOT_BREACHING
#: No figure says nothing: the alarm stays as it was.
UNKNOWN = cloudwatch.TreatMissingData.IGNORE
#: No figure is what is wrong.
WRONG = cloudwatch.TreatMissingData.BREACHING


def alarm(
    scope: Construct,
    construct_id: str,
    metric: cloudwatch.IMetric,
    *,
    settings: Settings,
    operators: sns.ITopic,
    text: str,
    runbook: str,
    missing: cloudwatch.TreatMissingData,
    above: float = 0,
    below: float | None = None,
    rounds: int = 1,
) -> cloudwatch.Alarm:
    """Make one.

    Args:
        scope: of the construct.
        construct_id: within it.
        metric: that is watched.
        settings: of the stage.
        operators: topic that is told.
        text: what is so, for people, a sentence.
        runbook: section of the runbooks.
        missing: what no figure means; the place that asks says why.
        above: it goes off where the metric is greater; not looked at where ``below`` is given.
        below: it goes off where the metric is less.
        rounds: of the metric's period in a row.
    """
    operator = cloudwatch.ComparisonOperator
    made = cloudwatch.Alarm(
        scope,
        construct_id,
        metric=metric,
        threshold=above if below is None else below,
        comparison_operator=operator.GREATER_THAN_THRESHOLD if below is None else operator.LESS_THAN_THRESHOLD,
        evaluation_periods=rounds,
        treat_missing_data=missing,
        alarm_description=f"{text} Runbook: {settings.runbooks}#{runbook}",
    )
    made.add_alarm_action(cloudwatch_actions.SnsAction(operators))
    return made
