// Ranges of files over HTTP, many at once: redirects, retries with a pause, and limits on all that a server may make us wait for or keep.
// Called by fetch_model.cpp. Sends a token to the host that it is for and to no other, and asks for no more than is wanted.
// Threads: one transfer is one thread's; any number of them at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

struct TransferLimits {
  unsigned connections = 16;
  unsigned tries = 4;
  unsigned redirects = 8;
  std::uint64_t received_bytes = 1ULL << 29;       // in all
  std::chrono::milliseconds time{300'000};         // in all
  std::chrono::milliseconds connect_time{15'000};  // of one connection
  std::chrono::seconds stall_time{20};             // so long with less than a kilobyte a second
  std::chrono::milliseconds first_pause{400};      // before something is tried again; then twice as long
  std::chrono::milliseconds longest_pause{30'000}; // that a server may ask for
};

// So much of a file. Where its server knows no ranges, the file is read up to there and no further.
struct Wanted {
  std::string url;
  std::uint64_t offset_bytes = 0, most_bytes = 0;
  bool whole = false;     // all of it, at most `most_bytes`: no range is asked for
  std::string known_etag; // answered with 304 where the file is still that; empty: none
  std::string token;      // of the hub; empty: none
  std::size_t file = 0;   // the caller's number
};

struct Got {
  long status = 0;   // 200, 206, 304, or what the server refuses with
  std::string body;  // of 200 and 206: what was wanted, or up to the end of the file
  bool more = false; // the file goes on behind it
  std::uint64_t file_bytes = 0;
  bool size_known = false;
  std::string etag;
  std::string next_page;  // a URL, of a list that goes on
  std::string error_code; // the hub's word for a refusal: "GatedRepo"
};

// Takes what came, and says what is wanted besides.
using Take = std::function<Result<void>(const Wanted& wanted, Got&& got, std::vector<Wanted>& more)>;
// Told now and then of bytes received so far.
using Heard = std::function<void(std::uint64_t received_bytes)>;

// Fetches all that is wanted, and what `take` asks for meanwhile; the first error ends it. kBadRequest names the URL, without a query, what
// went wrong and what to do.
Result<void> transfer(std::vector<Wanted> wanted, const TransferLimits& limits, const Take& take, const Heard& heard = {});

// A URL for people: no query, no credentials.
std::string shown_url(const std::string& url);

} // namespace plimsoll
