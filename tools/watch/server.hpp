// The web server of `plimsoll watch`: /metrics and /healthz, until it is told to end. Called by main.cpp. Waits for no client longer than
// two seconds. Threads: run() is the caller's, requests are answered on threads of the server.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "plimsoll/result.hpp"

namespace plimsoll::watch {

struct Address {
  std::string host = "127.0.0.1";
  int port = 9400;
};

// ":9400", "9400", "0.0.0.0:9400", "[::1]:9400"; without a host this machine alone is listened to.
Result<Address> parse_address(const std::string& text);

struct Pages {
  std::function<std::string()> metrics;
  std::function<bool()> healthy;
  std::function<void(const std::string& url)> listening; // told once
};

// Until SIGTERM or SIGINT. kBadRequest where the address cannot be had.
Result<void> serve(const Address& address, const Pages& pages);

} // namespace plimsoll::watch
