"""Optional: devices reach AWS over a VPN or Direct Connect, and never over the internet."""

from __future__ import annotations

import ipaddress
from typing import Final

from aws_cdk import Fn, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53resolver as resolver
from constructs import Construct

from infra.constructs.endpoints import ENDPOINTS, Endpoint, policy
from infra.constructs.function import log_group, publish
from infra.settings import PrivateNetwork, Settings
from infra.stacks.storage import StorageStack

#: Size of each zone's subnet; the network has room for sixteen.
_SUBNET_BITS: Final = 4
#: The resolver's address in each subnet: beyond those that AWS keeps, the same for ever, so that sites can name it.
_RESOLVER_AT: Final = 10
_DNS: Final = 53


class NetworkStack(Stack):
    """A network without a way to the internet, with endpoints of the services that devices use.

    How sites get into it (VPN, Direct Connect, transit gateway) is the owner's; see ``docs/network.md``.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, network: PrivateNetwork, storage: StorageStack
    ) -> None:
        super().__init__(scope, construct_id, stack_name=construct_id, description="Vedette: private network")
        self._settings, self._network, self._storage = settings, network, storage
        self._vpc = ec2.CfnVPC(self, "Vpc", cidr_block=network.cidr, enable_dns_hostnames=True, enable_dns_support=True)
        self._flow_logs()
        blocks = list(ipaddress.IPv4Network(network.cidr).subnets(_SUBNET_BITS))[: network.zones]
        self._subnets = [self._subnet(number, str(block)) for number, block in enumerate(blocks)]
        for endpoint in ENDPOINTS:
            self._endpoint(endpoint)
        addresses = [str(block[_RESOLVER_AT]) for block in blocks]
        self._resolver(addresses)
        publish(
            self,
            settings,
            {
                "network-vpc": self._vpc.ref,
                "network-cidr": network.cidr,
                "network-resolver-addresses": ",".join(addresses),
            },
        )

    def _subnet(self, number: int, block: str) -> ec2.CfnSubnet:
        return ec2.CfnSubnet(
            self,
            f"Subnet{number}",
            vpc_id=self._vpc.ref,
            cidr_block=block,
            availability_zone=Fn.select(number, Fn.get_azs()),
            map_public_ip_on_launch=False,
        )

    def _group(self, name: str, what: str, ports: tuple[tuple[str, int], ...]) -> ec2.CfnSecurityGroup:
        """From the sites' networks only, to these ports; nothing goes out by itself."""
        return ec2.CfnSecurityGroup(
            self,
            name,
            group_description=f"Vedette: {what}",
            vpc_id=self._vpc.ref,
            security_group_ingress=[
                ec2.CfnSecurityGroup.IngressProperty(
                    cidr_ip=cidr, ip_protocol=protocol, from_port=port, to_port=port, description=f"{what} from a site"
                )
                for cidr in self._network.on_premises_cidrs
                for protocol, port in ports
            ],
            # AWS would allow everything where nothing is said.
            security_group_egress=[
                ec2.CfnSecurityGroup.EgressProperty(
                    cidr_ip="127.0.0.1/32", ip_protocol="icmp", from_port=252, to_port=86, description="Nothing"
                )
            ],
        )

    def _endpoint(self, endpoint: Endpoint) -> None:
        name = "".join(part.title() for part in endpoint.service.split("."))
        group = self._group(f"{name}Group", endpoint.service, tuple(("tcp", port) for port in endpoint.ports))
        made = ec2.CfnVPCEndpoint(
            self,
            f"{name}Endpoint",
            vpc_id=self._vpc.ref,
            service_name=f"com.amazonaws.{self.region}.{endpoint.service}",
            vpc_endpoint_type="Interface",
            subnet_ids=[subnet.ref for subnet in self._subnets],
            security_group_ids=[group.attr_group_id],
            private_dns_enabled=endpoint.zone is None,
            policy_document=policy(endpoint, self.account),
            # A gateway endpoint beside it serves no site: the interface answers for everybody.
            dns_options=ec2.CfnVPCEndpoint.DnsOptionsSpecificationProperty(
                private_dns_only_for_inbound_resolver_endpoint="AllResolvers"
            )
            if endpoint.service == "s3"
            else None,
        )
        if endpoint.zone is not None:
            self._zone(name, f"{endpoint.zone}.{self.region}.amazonaws.com", made)

    def _zone(self, name: str, zone_name: str, endpoint: ec2.CfnVPCEndpoint) -> None:
        """Every name in the zone is the endpoint, so that the account's own prefix need not be known."""
        zone = route53.CfnHostedZone(
            self,
            f"{name}Zone",
            name=zone_name,
            vpcs=[route53.CfnHostedZone.VPCProperty(vpc_id=self._vpc.ref, vpc_region=self.region)],
        )
        entry = Fn.split(":", Fn.select(0, endpoint.attr_dns_entries))
        route53.CfnRecordSet(
            self,
            f"{name}Record",
            name=f"*.{zone_name}",
            type="A",
            hosted_zone_id=zone.ref,
            alias_target=route53.CfnRecordSet.AliasTargetProperty(
                hosted_zone_id=Fn.select(0, entry), dns_name=Fn.select(1, entry)
            ),
        )

    def _resolver(self, addresses: list[str]) -> None:
        """Answers the sites' name servers with the private addresses."""
        group = self._group("ResolverGroup", "name resolution", (("tcp", _DNS), ("udp", _DNS)))
        resolver.CfnResolverEndpoint(
            self,
            "Resolver",
            direction="INBOUND",
            name=f"vedette-{self._settings.stage}",
            security_group_ids=[group.attr_group_id],
            ip_addresses=[
                resolver.CfnResolverEndpoint.IpAddressRequestProperty(subnet_id=subnet.ref, ip=address)
                for subnet, address in zip(self._subnets, addresses, strict=True)
            ],
        )

    def _flow_logs(self) -> None:
        group = log_group(self, "FlowLogs", settings=self._settings, key=self._storage.keys.logs)
        role = iam.Role(
            self,
            "FlowLogsRole",
            assumed_by=iam.ServicePrincipal(
                "vpc-flow-logs.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self.account}}
            ),
            description="Writes down which connections there were",
        )
        group.grant(role, "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")
        ec2.CfnFlowLog(
            self,
            "FlowLog",
            resource_id=self._vpc.ref,
            resource_type="VPC",
            traffic_type="ALL",
            log_group_name=group.log_group_name,
            deliver_logs_permission_arn=role.role_arn,
        )
