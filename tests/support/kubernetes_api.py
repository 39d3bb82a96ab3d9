"""A Kubernetes API server, as far as workloads are read, scaled, and their container resources applied."""

import copy
import re
from typing import Any, Final

from tests.support.http_fake import Answer, HttpFake, Seen

_PATH: Final = re.compile(r"/apis/apps/v1/namespaces/([^/]+)/(deployments|statefulsets|daemonsets)/([^/]+?)(/scale)?")
_KINDS: Final = {"deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet"}


class KubernetesFake:
    """`with fake.server:` it listens on `fake.server.url`. Workloads are kept by (kind, namespace, name).

    Server-side apply as far as one manager goes: fields that trimtab applied before and now leaves out are removed.
    `cpu_quota` refuses (403) larger CPU requests; `rolls_out_after` reads pass before a change is rolled out.
    `rules` are the (verb, resource) pairs that were needed.
    """

    def __init__(self) -> None:
        self.workloads: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.rules: set[tuple[str, str]] = set()
        self.cpu_quota_m: int | None = None
        self.rolls_out_after = 0
        self._applied: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._waiting = 0
        self.server = HttpFake(self._respond)

    def put(self, kind: str, namespace: str, name: str, **containers: dict[str, Any]) -> dict[str, Any]:
        """Keep a workload of these containers with their resources, rolled out."""
        counts = ("updatedReplicas", "availableReplicas", "readyReplicas", "replicas")
        daemons = ("updatedNumberScheduled", "numberAvailable", "desiredNumberScheduled")
        self.workloads[kind, namespace, name] = {
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 1},
            "spec": {
                "template": {
                    "spec": {"containers": [{"name": key, "resources": own} for key, own in containers.items()]}
                }
            },
            "status": {"observedGeneration": 1, **dict.fromkeys((*counts, *daemons), 3)},
        }
        return self.workloads[kind, namespace, name]

    def resources(self, kind: str, namespace: str, name: str, container: str) -> dict[str, Any]:
        """What a container has now."""
        containers = self.workloads[kind, namespace, name]["spec"]["template"]["spec"]["containers"]
        found: dict[str, Any] = next(one["resources"] for one in containers if one["name"] == container)
        return found

    def applies(self) -> list[bool]:
        """For each apply that arrived, whether it was a dry run."""
        return [one.query.get("dryRun") == "All" for one in self.server.seen if one.method == "PATCH"]

    def _respond(self, seen: Seen) -> Answer:
        match = _PATH.fullmatch(seen.path)
        if match is None:
            return _status(404)
        key = _KINDS[match[2]], match[1], match[3]
        self.rules.add(("get" if seen.method == "GET" else "patch", match[2] + (match[4] or "")))
        found = self.workloads.get(key)
        if found is None:
            return _status(404)
        if seen.method == "GET":
            if self._waiting:
                self._waiting -= 1
                return Answer(found)
            found["status"]["observedGeneration"] = found["metadata"]["generation"]
            return Answer(found)
        if match[4]:
            assert seen.headers.get("content-type") == "application/merge-patch+json"
            found["spec"]["replicas"] = seen.json["spec"]["replicas"]
            return Answer({"kind": "Scale", "spec": seen.json["spec"]})
        return self._apply(key, found, seen)

    def _apply(self, key: tuple[str, str, str], found: dict[str, Any], seen: Seen) -> Answer:
        body = seen.json
        asked = (seen.headers.get("content-type"), seen.query.get("fieldManager"), seen.query.get("force"))
        if (
            asked != ("application/apply-patch+yaml", "trimtab", "true")
            or body["metadata"]["uid"] != found["metadata"]["uid"]
        ):
            return _status(409)
        after = copy.deepcopy(found)
        (wanted,) = body["spec"]["template"]["spec"]["containers"]
        own = next(one for one in after["spec"]["template"]["spec"]["containers"] if one["name"] == wanted["name"])
        for kind in ("requests", "limits"):
            new = wanted["resources"].get(kind, {})
            old = self._applied.get(key, {}).get(kind, {})
            kept = {name: value for name, value in own["resources"].get(kind, {}).items() if name not in old}
            own["resources"][kind] = {**kept, **new}
        cpu = own["resources"]["requests"].get("cpu", "0")
        if self.cpu_quota_m is not None and float(str(cpu).removesuffix("m")) > self.cpu_quota_m:
            return _status(403)
        if seen.query.get("dryRun") != "All":
            after["metadata"]["generation"] += 1
            self.workloads[key] = after
            self._applied[key] = wanted["resources"]
            self._waiting = self.rolls_out_after
        return Answer(after)


def _status(code: int) -> Answer:
    return Answer({"kind": "Status", "code": code, "message": "secret-quota"}, code)
