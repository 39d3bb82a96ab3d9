"""Cloud Asset Inventory over REST, as far as the assets of a project are listed."""

from typing import Any, Final

from tests.support.http_fake import Answer, HttpFake, Seen

_PATH: Final = "/v1/projects/p/assets"


class CloudAssetFake:
    """`with fake.server:` it listens on `fake.server.url`. A page of a list holds `page_size` assets."""

    def __init__(self, page_size: int = 1_000) -> None:
        self.permissions: set[str] = set()
        self._assets: list[dict[str, Any]] = []
        self._page_size = page_size
        self.server = HttpFake(self._respond)

    def put(self, asset_type: str, name: str, **data: object) -> dict[str, Any]:
        """Keep an asset; `name` is its API's own (`projects/p/locations/z/nodes/n`), `data` what that API shows."""
        held = {"name": name, **data}
        service = asset_type.partition("/")[0]
        self._assets.append(
            {"name": f"//{service}/{name}", "assetType": asset_type, "resource": {"version": "v1", "data": held}}
        )
        return held

    def _respond(self, seen: Seen) -> Answer:
        if (seen.method, seen.path) != ("GET", _PATH):
            return Answer({"error": {"code": 404, "message": seen.path}}, 404)
        self.permissions.add("cloudasset.assets.listResource")
        assert seen.query["contentType"] == "RESOURCE"
        wanted = [one for one in self._assets if one["assetType"] in seen.lists["assetTypes"]]
        start = int(seen.query.get("pageToken") or 0)
        end = start + self._page_size
        more = {"nextPageToken": str(end)} if end < len(wanted) else {}
        # An empty list is left out, as protobuf's JSON leaves it out.
        shown = {"assets": wanted[start:end]} if wanted else {}
        return Answer({"readTime": "2026-11-23T12:00:00Z", **shown, **more})
