"""What Cloud Asset Inventory knows of a project: one list over all locations, for APIs that list one at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.gcp.rest import Rest
from trimtab_service.clouds.patience import source_failed

ASSET: Final = "asset"
"""Name of the API in `endpoints` of the account."""
BASE_URL: Final = "https://cloudasset.googleapis.com"

_PAGE: Final = "1000"


@dataclass(frozen=True, slots=True)
class Assets:
    """One project's assets. They are some minutes behind what they describe; listing them costs nothing."""

    project: str
    rest: Rest

    def all_of(self, asset_type: str, deadline: datetime) -> Iterator[Mapping[str, Any]]:
        """Each asset of a type (`tpu.googleapis.com/Node`) as its own API shows it, page by page.

        Raises UnavailableError (SOURCE_FAILED) as soon as a page cannot be had: no part is given as all of them.
        """
        doing, token = f"listing {asset_type}", ""
        while True:
            query = {"contentType": "RESOURCE", "assetTypes": asset_type, "pageSize": _PAGE, "pageToken": token}
            reply = self.rest.get(f"v1/projects/{self.project}/assets", query, doing, deadline)
            if not reply.is_ok:
                raise source_failed(f"{doing}: Google Cloud knows no project of that name ({reply.status})")
            for asset in reply.document.get("assets", []):
                yield asset["resource"]["data"]
            token = str(reply.document.get("nextPageToken", ""))
            if not token:
                return
