"""Resource types of the private network: endpoints of services, private zones, the resolver, flow logs."""

from __future__ import annotations

import uuid
from typing import Any, Final

from vedette.local.cloud.resources import Kind, Made, Properties, Update, answered, tags_list, without


def _tagged(properties: Properties, kind: str) -> dict[str, Any]:
    tags = tags_list(properties)
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def _endpoint(properties: Properties, _: str) -> dict[str, Any]:
    return {**without(properties, "Tags"), **_tagged(properties, "vpc-endpoint")}


def _change_endpoint(client: Any, made: Made, request: Any) -> None:
    if "PolicyDocument" in request:
        client.modify_vpc_endpoint(VpcEndpointId=_endpoint_id(made), PolicyDocument=request["PolicyDocument"])


def _endpoint_id(made: Made) -> str:
    return str(made.answer["VpcEndpoint"]["VpcEndpointId"])


def _dns_entries(made: Made) -> list[str]:
    """Zone and name, as CloudFormation joins them."""
    entries = made.answer["VpcEndpoint"].get("DnsEntries") or []
    return [f"{one.get('HostedZoneId', '')}:{one['DnsName']}" for one in entries]


def _flow_log(properties: Properties, _: str) -> dict[str, Any]:
    given = without(properties, "Tags", "ResourceId")
    return {**given, "ResourceIds": [properties["ResourceId"]], **_tagged(properties, "vpc-flow-log")}


def _zone(properties: Properties, _: str) -> dict[str, Any]:
    vpcs = properties.get("VPCs") or []
    given: dict[str, Any] = {"Name": properties["Name"], "CallerReference": str(uuid.uuid4())}
    if vpcs:
        given["VPC"] = vpcs[0]
    comment = (properties.get("HostedZoneConfig") or {}).get("Comment", "")
    return {**given, "HostedZoneConfig": {"Comment": comment, "PrivateZone": bool(vpcs)}}


def _zone_id(made: Made) -> str:
    return str(made.answer["HostedZone"]["Id"]).rpartition("/")[2]


def _record(properties: Properties, _: str) -> dict[str, Any]:
    kept = without(properties, "HostedZoneId", "HostedZoneName", "Comment", "ResourceRecords", "TTL", "AliasTarget")
    if "AliasTarget" in properties:
        kept["AliasTarget"] = {"EvaluateTargetHealth": False, **properties["AliasTarget"]}
    else:
        kept["ResourceRecords"] = [{"Value": value} for value in properties["ResourceRecords"]]
        kept["TTL"] = int(properties["TTL"])
    change = {"Action": "UPSERT", "ResourceRecordSet": kept}
    return {"HostedZoneId": properties["HostedZoneId"], "ChangeBatch": {"Changes": [change]}}


def _end_record(client: Any, made: Made) -> None:
    (change,) = made.request["ChangeBatch"]["Changes"]
    client.change_resource_record_sets(
        HostedZoneId=made.request["HostedZoneId"], ChangeBatch={"Changes": [{**change, "Action": "DELETE"}]}
    )


def _record_name(made: Made) -> str:
    return str(made.request["ChangeBatch"]["Changes"][0]["ResourceRecordSet"]["Name"])


def _resolver(properties: Properties, name: str) -> dict[str, Any]:
    tags = tags_list(properties)
    return {"Name": name, **without(properties, "Tags"), "CreatorRequestId": str(uuid.uuid4()), "Tags": tags}


def _resolver_id(made: Made) -> str:
    return str(made.answer["ResolverEndpoint"]["Id"])


KINDS: Final = (
    Kind(
        "AWS::EC2::VPCEndpoint",
        "ec2",
        "CreateVpcEndpoint",
        _endpoint,
        _endpoint_id,
        lambda client, made: client.delete_vpc_endpoints(VpcEndpointIds=[_endpoint_id(made)]),
        attributes={
            "Id": _endpoint_id,
            "DnsEntries": _dns_entries,
            "NetworkInterfaceIds": lambda made: list(made.answer["VpcEndpoint"].get("NetworkInterfaceIds") or []),
        },
        update=_change_endpoint,
    ),
    Kind(
        "AWS::EC2::FlowLog",
        "ec2",
        "CreateFlowLogs",
        _flow_log,
        lambda made: str(made.answer["FlowLogIds"][0]),
        lambda client, made: client.delete_flow_logs(FlowLogIds=made.answer["FlowLogIds"]),
        attributes={"Id": lambda made: str(made.answer["FlowLogIds"][0])},
    ),
    Kind(
        "AWS::Route53::HostedZone",
        "route53",
        "CreateHostedZone",
        _zone,
        _zone_id,
        lambda client, made: client.delete_hosted_zone(Id=_zone_id(made)),
        attributes={"Id": _zone_id},
    ),
    Kind(
        "AWS::Route53::RecordSet",
        "route53",
        "ChangeResourceRecordSets",
        _record,
        _record_name,
        _end_record,
        update=Update.AGAIN,
    ),
    Kind(
        "AWS::Route53Resolver::ResolverEndpoint",
        "route53resolver",
        "CreateResolverEndpoint",
        _resolver,
        _resolver_id,
        lambda client, made: client.delete_resolver_endpoint(ResolverEndpointId=_resolver_id(made)),
        name="Name",
        attributes={
            "ResolverEndpointId": _resolver_id,
            "Arn": answered("ResolverEndpoint", "Arn"),
            "Direction": answered("ResolverEndpoint", "Direction"),
            "HostVPCId": answered("ResolverEndpoint", "HostVPCId"),
        },
    ),
)
