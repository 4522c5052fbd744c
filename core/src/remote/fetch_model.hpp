// A model of a URL made a folder of this machine: its config whole, of its safetensors or GGUF files the headers, fetched many at once.
// Called by host/context.cpp where a host is online. Never fetches tensor data, never writes outside its cache, leaves nothing half done.
// Threads: any number at once.
#pragma once

#include <string>

#include "checkpoint/locate.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/result.hpp"
#include "remote/remote_model.hpp"
#include "remote/transfer.hpp"

namespace plimsoll {

struct FetchOptions {
  TransferLimits limits;
  LocateOptions environment; // of the process where it has no function
  FetchCallback progress;
};

struct FetchedModel {
  std::string path;   // what locate_model() takes: a folder, a .gguf or a .json file
  std::string folder; // of all files, with a slash at its end
  std::string url;    // of that folder, with one too: what messages name instead
};

// kBadRequest names the URL, what went wrong there and what to do; nothing of a token is in any message.
Result<FetchedModel> fetch_model(const RemoteModel& model, const FetchOptions& options);

// $XDG_CACHE_HOME/plimsoll or ~/.cache/plimsoll; empty without either.
std::string fetch_cache_directory(const LocateOptions& environment);

} // namespace plimsoll
