// The MODEL argument wherever it is: files of this machine, a name of the cache or the catalogue, or a URL whose headers are fetched.
// Called by context.cpp. Opens a socket only where the host is online, and for a URL or a name that is nowhere else. Threads: any at once.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "checkpoint/locate.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/result.hpp"
#include "remote/fetch_model.hpp"

namespace plimsoll {

// What a host says of the network.
struct RemoteAccess {
  bool online = false;
  std::chrono::milliseconds timeout = kFetchTimeout;
  FetchCallback progress;
};

struct LocatedModel {
  ModelFiles files;
  std::optional<FetchedModel> fetched;
  // An error about files of the cache, about their URLs instead.
  Error with_urls(Error error) const;
};

// kBadRequest for a URL where the host is not online: the message names the option, and what is here under the model's name.
Result<LocatedModel> locate_anywhere(const std::string& model, const LocateOptions& options, const RemoteAccess& access);

} // namespace plimsoll
