"""Whether a resource is of a scope."""

from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.ports import Scope


def in_scope(resource: CloudResource, scope: Scope) -> bool:
    """Of one of the regions (none named: all) and with all of the tags."""
    in_region = not scope.regions or (resource.cloud, resource.region) in scope.regions
    return in_region and set(scope.tags) <= set(resource.tags)
