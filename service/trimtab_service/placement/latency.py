"""How long users wait: an estimate from distance, the formula of the contract.

Round trip = twice the great-circle distance x 1.5 for the route, at 2/3 of the speed of light, plus 2 ms; the mean
over the groups of users by share. Mean Earth radius 6,371.0088 km (IUGG).
"""

from typing import Final

import numpy as np

from trimtab_service.catalog.arrays import F64
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.workloads import Users

EARTH_RADIUS_KM: Final = 6371.0088
LIGHT_KM_PER_MS: Final = 299.792458
ROUTE_FACTOR: Final = 1.5
FIXED_MS: Final = 2.0

_MS_PER_KM: Final = 2.0 * ROUTE_FACTOR / (LIGHT_KM_PER_MS * 2.0 / 3.0)


def mean_latency_ms(snapshot: CatalogSnapshot, users: Users) -> F64:
    """[region] share-weighted mean round trip in milliseconds."""
    latitudes, longitudes = np.radians(snapshot.region_latitude), np.radians(snapshot.region_longitude)
    mean = np.full(latitudes.size, FIXED_MS)
    for group in users.groups:
        latitude, longitude = np.radians(group.latitude), np.radians(group.longitude)
        half = (
            np.sin((latitudes - latitude) / 2.0) ** 2
            + np.cos(latitudes) * np.cos(latitude) * np.sin((longitudes - longitude) / 2.0) ** 2
        )
        distance = 2.0 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
        mean += group.share * _MS_PER_KM * distance
    return mean
