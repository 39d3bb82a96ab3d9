"""Names for the array types of rightsizing beyond those of the catalogue."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

F32: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[np.floating]
"""float32 where a fleet is reduced, float64 where one resource is."""
