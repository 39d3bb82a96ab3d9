"""Names of machine types that say their size."""

import pytest

from trimtab_service.clouds.gcp.machine_types import Attached, custom_capacity, is_accelerated, parts_of, type_name


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gib"),
    [
        ("n2-custom-4-16384", 4, 16),
        ("custom-2-7680", 2, 7.5),
        ("n2-custom-8-131072-ext", 8, 128),
        ("e2-custom-micro-1024", 0.25, 1),
        ("e2-custom-medium-4096", 1, 4),
        ("g2-custom-16-65536", 16, 64),
        ("custom-4-15360+nvidia-tesla-t4x1", 4, 15),
    ],
)
def test_custom_types_say_vcpus_and_mib(name: str, vcpus: float, memory_gib: float) -> None:
    """Family, extended memory and shared cores are all read; memory is MiB in the name and GiB in the capacity."""
    capacity = custom_capacity(name)
    assert capacity is not None
    assert (capacity.vcpus, capacity.memory_gib) == (vcpus, memory_gib)


@pytest.mark.parametrize("name", ["n2-standard-8", "", "custom", "n2-custom-4", "custom-4-x", "m1-ultramem-40"])
def test_other_names_are_the_catalogues_to_know(name: str) -> None:
    """No size is guessed."""
    assert custom_capacity(name) is None


@pytest.mark.parametrize(
    ("machine_type", "attached", "name"),
    [
        ("n1-standard-8", Attached("nvidia-tesla-t4", 2), "n1-standard-8+nvidia-tesla-t4x2"),
        ("n1-standard-8", None, "n1-standard-8"),
    ],
)
def test_attached_accelerators_are_in_the_catalogues_name(
    machine_type: str, attached: Attached | None, name: str
) -> None:
    """Composing and taking apart are inverse."""
    assert type_name(machine_type, attached) == name
    assert parts_of(name) == (machine_type, attached)


def test_families_with_own_accelerators_keep_their_name() -> None:
    """A2 lists its A100s as guest accelerators; the type is A2 all the same."""
    assert type_name("a2-highgpu-1g", Attached("nvidia-tesla-a100", 1)) == "a2-highgpu-1g"
    assert is_accelerated("a2-highgpu-1g")
    assert is_accelerated("n1-standard-4+nvidia-tesla-t4x1")
    assert is_accelerated("ct5lp-hightpu-4t")
    assert not is_accelerated("n2-standard-4")
