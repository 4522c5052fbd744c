"""A host that serves from Python while a stranger's plugin does its worst: the host lives, its other answers do not change, nothing is left.

Run by ctest with the package's folder, the folder of the libraries, and the folder of the zoo's disturber. Fails by assertion.
"""
import glob
import os
import sys
import threading

os.environ["PLIMSOLL_LIBRARY_PATH"] = sys.argv[2]
sys.path.insert(0, sys.argv[1])
import plimsoll  # noqa: E402

context = plimsoll.Context(plugin_paths=[sys.argv[3]], trust="open", plugin_timeout=5)


def plan(fault="", call=""):
    return context.plan({"architectures": ["disturber"], "fault": fault, "call": call}, devices="1xH100").to_json()


def refused(fault, call):
    try:
        plan(fault, call)
    except plimsoll.Error as error:
        assert error.code == "plugin_failed" and "disturber" in error.message, error
        return
    raise AssertionError(f"{fault} in {call} was not refused")


def workers():
    found = 0
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="latin-1") as file:
                name, rest = file.read().split("(", 1)[1].rsplit(")", 1)
        except (OSError, IndexError):
            continue
        found += name.startswith("plimsoll-worker") and int(rest.split()[1]) == os.getpid()
    return found


def check_sequence():
    built_in, good = context.plan("Qwen/Qwen3-8B", devices="1xH100").to_json(), plan()
    for fault, call in (("abort", "weights"), ("_exit", "create"), ("sleep", "activations"), ("print", "kv"), ("close", "facts")):
        refused(fault, call)
        assert plan() == good and context.plan("Qwen/Qwen3-8B", devices="1xH100").to_json() == built_in


def check_threads():
    good, wrong = plan(), []

    def serve(number):
        try:
            for _ in range(3):
                if number % 2:
                    refused("exit", "activations")
                elif plan() != good:
                    wrong.append(number)
        except Exception as error:  # noqa: BLE001
            wrong.append(error)

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong


check_sequence()
check_threads()
assert workers() == 0, "a worker outlives its model"
print("ok")
