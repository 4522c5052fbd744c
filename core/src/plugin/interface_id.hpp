// The grammar of interface ids, rule R-27 of abi.h: "plimsoll.tensors/1", "com.acme.lora/draft.2". Threads: pure functions.
#pragma once

#include <string_view>

#include "plimsoll/abi.h"

namespace plimsoll {

bool is_interface_id(std::string_view id);
// The same of a text that a plugin hands over, whose length may be anything.
inline bool is_interface_id(plimsoll_str id) {
  return id.data != nullptr && id.size <= PLIMSOLL_MAX_NAME_BYTES && is_interface_id(std::string_view(id.data, id.size));
}

} // namespace plimsoll
