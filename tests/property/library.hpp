// The library as a host in C sees it: a request in JSON goes in, a document and a code come out.
// Never looks behind plimsoll/host.h. Threads: any, as the library.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "plimsoll/host.h"

namespace plimsoll::property {

using Json = nlohmann::json;

struct Answer {
  int code = PLIMSOLL_HOST_INTERNAL;
  std::string text; // the document, byte for byte
  Json document;

  std::string verdict() const { return document.value("verdict", std::string()); }
  bool holds() const { return verdict() == "fits" || verdict() == "tight"; } // the plan may be enacted
  bool planned() const { return code == PLIMSOLL_HOST_OK; }
  bool pooled() const { return document["request"]["accounting"] == "pooled"; }
};

// The catalogue of the source tree with the plugins of this build. Made once a program.
const plimsoll_context* context();

Answer plan(const std::string& request_json);
Answer estimate(const std::string& request_json);

} // namespace plimsoll::property
