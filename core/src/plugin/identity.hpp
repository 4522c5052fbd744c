// What a plugin's library says of itself, made from its manifest as a C header, so that every fact is written once. Builds call it through
// `plimsoll plugins identity` (plugin_identity() of plimsoll/host.hpp); sdk/include/plimsoll/plugin/glue.hpp and plugins in C use what
// it defines. Threads: pure functions.
#pragma once

#include <string>

#include "plugin/manifest.hpp"

namespace plimsoll {

// The text of plimsoll_identity.h, for C11 and C++17. It includes nothing: its macros need plimsoll/abi.h and NULL where they are used.
// The manifest has families; its texts are clean, as read_manifest leaves them.
//   PLIMSOLL_IDENTITY_ID, _VERSION   string literals
//   PLIMSOLL_IDENTITY_PLUGIN         the initialisers of a plimsoll_plugin, from struct_size to version
//   PLIMSOLL_IDENTITY_N_FAMILIES     how many there are
//   PLIMSOLL_IDENTITY_FAMILY_<i>     the initialisers of a plimsoll_family, from struct_size to id
//   PLIMSOLL_IDENTITY_FAMILIES       all of them in braces, their tables NULL
std::string identity_header(const Manifest& manifest);

} // namespace plimsoll
