"""The attacks, by name; read from the text, because loading it needs its targets."""

from __future__ import annotations

import re
from pathlib import Path

#: What is copied into the application.
FILES = [Path(__file__).with_name(f"{name}.py") for name in
         ("__init__", "attack", "tools", "on_files", "on_kernel", "on_network", "on_processes")]  # fmt: skip
ATTACKS = sorted(name for file in FILES for name in re.findall(r"^@attack\ndef (\w+)", file.read_text(), re.MULTILINE))

#: Not shown to succeed without walls, and why.
NOT_SHOWN = {
    "connect_through_its_warden": "what the manifest does not name is refused with or without walls",
    "ask_a_name_server": "there may be none where tests run",
    "connect_a_descriptor_it_was_given": "a connected stream cannot be connected once more",
    "call_in_another_numbering": "few kernels are built with it",
}

#: Without walls, these succeed where the component is root's.
ROOTS = (
    "compare_with_a_process", "count_events", "gain_privileges", "load_a_kernel_program", "make_a_device",
    "mount_something", "open_a_file_by_handle", "open_a_packet_socket", "open_a_raw_socket",
    "read_its_wardens_environment", "read_its_wardens_memory", "read_the_memory_of_a_process", "trace_a_process",
    "write_into_an_installed_package", "write_the_memory_of_a_process",
)  # fmt: skip

#: Succeeding, these end the code: another program runs in its place.
BECOMES = ("become_a_program", "become_a_program_by_descriptor")
