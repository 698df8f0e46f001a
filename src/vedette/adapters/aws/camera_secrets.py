"""Secrets of cameras in the account, each tagged for the one device that may read it."""

from __future__ import annotations

import json
from typing import Final

from vedette.adapters.aws.account import Account, aws_errors
from vedette.contracts.device_document import camera_secret
from vedette.contracts.errors import CloudError

#: Tag of a secret: the device that may read it (docs/provisioning.md).
TAG: Final = "vedette-device"
#: Days in which a secret that was deleted by mistake can be had back.
RECOVERY_DAYS: Final = 7


class CameraSecrets:
    """Secrets of cameras.

    Args:
        account: that holds them.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    def put(self, thing: str, camera: str, username: str, password: str) -> str:
        """Make a camera's secret, or give it another value; its name.

        Raises:
            CloudError: V001 to V003.
        """
        client, name = self._account.client("secretsmanager"), camera_secret(thing, camera)
        value = json.dumps({"username": username, "password": password})
        tags = [{"Key": TAG, "Value": thing}]
        what = f"secret {name}"
        try:
            with aws_errors(what):
                client.create_secret(
                    Name=name, Description=f"Camera {camera} of {thing}", SecretString=value, Tags=tags
                )
        except CloudError as error:
            if "ResourceExists" not in error.message and "scheduled for deletion" not in error.message:
                raise
            with aws_errors(what):
                client.restore_secret(SecretId=name)  # harmless where it is not to be deleted
                client.put_secret_value(SecretId=name, SecretString=value)
                client.tag_resource(SecretId=name, Tags=tags)
        return name

    def delete(self, thing: str, camera: str) -> bool:
        """Delete a camera's secret, which can be had back for some days; False where there is none.

        Raises:
            CloudError: V001 to V003.
        """
        name = camera_secret(thing, camera)
        try:
            with aws_errors(f"secret {name}"):
                self._account.client("secretsmanager").delete_secret(SecretId=name, RecoveryWindowInDays=RECOVERY_DAYS)
        except CloudError as error:
            if "ResourceNotFound" in error.message or "marked for deletion" in error.message:
                return False
            raise
        return True
