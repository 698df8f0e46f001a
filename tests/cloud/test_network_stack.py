"""The private network: sites in, nothing out, and only this account's data through its endpoints."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from infra.constructs.endpoints import ENDPOINTS
from infra.settings import read_settings
from tests.cloud.conftest import EVERYTHING, resources, templates
from tests.cloud.iot_policy import ACCOUNT, REGION, resolved
from tests.outbox.samples import alert
from vedette.contracts.alert import CloudAlert
from vedette.contracts.device_health import MAX_HEALTH_BYTES
from vedette.contracts.errors import ConfigurationError
from vedette.core.cost.estimate import ENDPOINTS as PAID

SITE = "10.1.0.0/16"


@pytest.fixture(scope="module")
def network() -> dict[str, Any]:
    return templates(EVERYTHING)["network"]


def test_it_is_there_only_where_it_is_asked_for() -> None:
    assert "network" not in templates()


def test_what_the_estimate_counts_is_what_is_made(network: dict[str, Any]) -> None:
    made = resources(network, "AWS::EC2::VPCEndpoint")
    assert len(made) == len(ENDPOINTS) == PAID
    services = {
        resolved(one["Properties"]["ServiceName"]).removeprefix(f"com.amazonaws.{REGION}.") for one in made.values()
    }
    assert services == {
        *("iot.data", "iot.credentials", "greengrass", "s3", "logs", "monitoring", "secretsmanager", "kms", "sts"),
    }
    for one in made.values():
        assert one["Properties"]["VpcEndpointType"] == "Interface"
        assert len(one["Properties"]["SubnetIds"]) == 2


def test_there_is_no_way_to_the_internet(network: dict[str, Any]) -> None:
    kinds = {one["Type"] for one in network["Resources"].values()}
    assert not {kind for kind in kinds if "Gateway" in kind or kind in {"AWS::EC2::Route", "AWS::EC2::EIP"}}
    for group in resources(network, "AWS::EC2::SecurityGroup").values():
        said = group["Properties"]
        assert {rule["CidrIp"] for rule in said["SecurityGroupIngress"]} == {SITE}
        assert [rule["CidrIp"] for rule in said["SecurityGroupEgress"]] == ["127.0.0.1/32"]
    for subnet in resources(network, "AWS::EC2::Subnet").values():
        assert subnet["Properties"]["MapPublicIpOnLaunch"] is False


def test_ports_are_those_that_devices_use(network: dict[str, Any]) -> None:
    ports = {}
    for name, group in resources(network, "AWS::EC2::SecurityGroup").items():
        rules = group["Properties"]["SecurityGroupIngress"]
        ports[name] = sorted((rule["IpProtocol"], rule["FromPort"]) for rule in rules)
        assert all(rule["FromPort"] == rule["ToPort"] for rule in rules)
    assert ports.pop("ResolverGroup") == [("tcp", 53), ("udp", 53)]
    assert ports.pop("IotDataGroup") == [("tcp", 443), ("tcp", 8443), ("tcp", 8883)]
    assert set(map(tuple, ports.values())) == {(("tcp", 443),)}


def test_endpoints_serve_this_account_only(network: dict[str, Any]) -> None:
    for name, one in resources(network, "AWS::EC2::VPCEndpoint").items():
        document = one["Properties"].get("PolicyDocument")
        if name.startswith("Iot"):
            assert document is None, "AWS IoT takes no endpoint policy"
            continue
        for statement in resolved(document)["Statement"]:
            assert "*" not in statement["Action"], name
            condition = statement["Condition"]
            if condition == {"StringNotEquals": {"aws:ResourceAccount": ACCOUNT}}:
                assert statement["Action"] == "s3:GetObject", name
            else:
                assert condition["StringEquals"]["aws:PrincipalAccount"] == ACCOUNT, name
                if not name.startswith(("Monitoring", "Sts")):
                    assert condition["StringEquals"]["aws:ResourceAccount"] == ACCOUNT, name


def test_names_without_private_dns_have_zones_of_their_own(network: dict[str, Any]) -> None:
    by_dns = {
        n: one["Properties"]["PrivateDnsEnabled"] for n, one in resources(network, "AWS::EC2::VPCEndpoint").items()
    }
    assert {name for name, enabled in by_dns.items() if not enabled} == {"IotDataEndpoint", "IotCredentialsEndpoint"}
    zones = {resolved(z["Properties"]["Name"]) for z in resources(network, "AWS::Route53::HostedZone").values()}
    assert zones == {f"iot.{REGION}.amazonaws.com", f"credentials.iot.{REGION}.amazonaws.com"}
    for record in resources(network, "AWS::Route53::RecordSet").values():
        name = resolved(record["Properties"]["Name"])
        assert name.startswith("*.")
        assert name[2:] in zones
        target = json.dumps(record["Properties"]["AliasTarget"])
        assert ("IotCredentialsEndpoint" if "credentials" in name else "IotDataEndpoint") in target


def test_sites_ask_the_resolver_at_addresses_that_stay(network: dict[str, Any]) -> None:
    (made,) = resources(network, "AWS::Route53Resolver::ResolverEndpoint").values()
    addresses = [one["Ip"] for one in made["Properties"]["IpAddresses"]]
    blocks = [
        ipaddress.ip_network(s["Properties"]["CidrBlock"]) for s in resources(network, "AWS::EC2::Subnet").values()
    ]
    assert len(set(addresses)) == 2
    assert all(ipaddress.ip_address(address) in block for address, block in zip(addresses, blocks, strict=True))
    published = [p["Properties"]["Value"] for p in resources(network, "AWS::SSM::Parameter").values()]
    assert ",".join(addresses) in published
    assert made["Properties"]["Direction"] == "INBOUND"


def test_the_nucleus_is_told_to_stay_inside() -> None:
    inside = read_settings(EVERYTHING).first_components["aws.greengrass.Nucleus"]
    assert inside.configuration == {"greengrassDataPlaneEndpoint": "iotdata", "s3EndpointType": "REGIONAL"}
    outside = read_settings({"baseline": {"aws.greengrass.Nucleus": {"version": "2.14.3"}}})
    assert outside.first_components["aws.greengrass.Nucleus"].configuration == {}


def test_with_a_network_the_nucleus_is_chosen() -> None:
    """Else the classic one would ask in the internet, and the ring's first deployment would not say why it failed."""
    network = {"on_premises_cidrs": ["10.1.0.0/16"]}
    with pytest.raises(ConfigurationError, match=r"network: say in baseline .* aws\.greengrass\.Nucleus"):
        read_settings({"network": network})
    lite = {"aws.greengrass.TokenExchangeService": {"version": "2.0.3"}}
    chosen = read_settings({"network": network, "baseline": lite}).first_components
    assert {name: choice.model_dump() for name, choice in chosen.items()} == {
        name: {**choice, "configuration": {}} for name, choice in lite.items()
    }


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"on_premises_cidrs": ["0.0.0.0/0"]}, "0.0.0.0/0 is the whole internet"),
        ({"on_premises_cidrs": ["10.80.4.0/24"]}, "10.80.4.0/24 overlaps 10.80.0.0/16"),
        ({"on_premises_cidrs": ["10.1.0.0/33"]}, "33"),
        ({"on_premises_cidrs": ["10.1.0.0/16"], "cidr": "10.2.0.0/28"}, "not between /16 and /24"),
        ({"on_premises_cidrs": ["10.1.0.0/16"], "zones": 1}, "zones"),
    ],
)
def test_networks_that_cannot_work_are_refused(network: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_settings({"network": network})


def test_the_page_names_every_endpoint_and_the_real_sizes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "network.md").read_text()
    example = page.partition("```json\n")[2].partition("```")[0]
    assert read_settings(json.loads(f"{{{example}}}")["vedette"]).network is not None
    for endpoint in ENDPOINTS:
        name = {"iot.data": "PREFIX-ats.iot", "iot.credentials": "PREFIX.credentials.iot", "s3": "*.s3"}
        assert f"`{name.get(endpoint.service, endpoint.service)}.REGION.amazonaws.com`" in page, endpoint.service
        assert all(str(port) in page for port in endpoint.ports), endpoint.service
    assert f"| a device's health | up to {MAX_HEALTH_BYTES:,} bytes |" in page
    one = alert(1, message="Somebody crossed the line at the gate")
    sent = CloudAlert(epoch="0123456789abcdef", seq=123456, alert_id=one.alert_id, alert=one)
    size = len(sent.model_dump_json(exclude_none=True))
    assert f"| an alert | about {round(size, -2)} bytes" in page
