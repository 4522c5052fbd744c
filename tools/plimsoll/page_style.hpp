// How the page of a plan looks and what it does beside being read: its style sheet and its script, and the hash of each by which the page's
// own policy lets them run and nothing else. Both are part of an XML document: no '<' and no '&'. A test holds the hashes to the texts.
#pragma once

#include <string_view>

namespace plimsoll::cli {

extern const std::string_view kPageStyle, kPageStyleHash; // the hash as a policy names it: "sha256-..."
extern const std::string_view kPageScript, kPageScriptHash;

} // namespace plimsoll::cli
