"""Every shard's header through json.loads: what reading a checkpoint directory is measured against."""
import glob
import json
import struct
import sys

total = 0
for path in sorted(glob.glob(sys.argv[1] + "/*.safetensors")):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        for name, tensor in json.loads(file.read(length)).items():
            if name != "__metadata__":
                begin, end = tensor["data_offsets"]
                total += end - begin
print(total)
