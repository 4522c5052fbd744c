// See server.hpp.
#include "server.hpp"

#include <atomic>
#include <charconv>
#include <csignal>
#include <ctime>
#include <fmt/format.h>
#include <httplib.h>
#include <thread>

namespace plimsoll::watch {
namespace {

constexpr std::size_t kThreads = 32, kMostRequestBytes = 1'024;
constexpr std::chrono::seconds kPatience{2};

void set_pages(httplib::Server& server, const Pages& pages) {
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_read_timeout(kPatience);
  server.set_write_timeout(kPatience);
  server.set_keep_alive_timeout(kPatience.count());
  server.set_payload_max_length(kMostRequestBytes);
  server.Get("/metrics", [&pages](const httplib::Request&, httplib::Response& answer) {
    answer.set_content(pages.metrics(), "text/plain; version=0.0.4; charset=utf-8");
  });
  server.Get("/healthz", [&pages](const httplib::Request&, httplib::Response& answer) {
    const bool healthy = pages.healthy();
    answer.status = healthy ? 200 : 503;
    answer.set_content(healthy ? "ok\n" : "no GPU answers\n", "text/plain; charset=utf-8");
  });
  server.Get("/", [](const httplib::Request&, httplib::Response& answer) {
    answer.set_content("plimsoll watch: /metrics, /healthz\n", "text/plain; charset=utf-8");
  });
}

} // namespace

Result<Address> parse_address(const std::string& text) {
  Address out;
  const std::size_t colon = text.rfind(':');
  const std::string port = text.substr(colon + 1); // npos + 1: all of it
  std::string host = colon == std::string::npos ? std::string() : text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string::npos) host = " "; // an address of IPv6 without its brackets
  const auto [end, wrong] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (port.empty() || wrong != std::errc() || end != port.data() + port.size() || out.port < 0 || out.port > 65'535 ||
      host.find_first_of(" /@") != std::string::npos)
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is no address; give [HOST]:PORT, such as :9400 or 0.0.0.0:9400", text.substr(0, 80)), "--metrics");
  if (!host.empty()) out.host = host;
  return out;
}

Result<void> serve(const Address& address, const Pages& pages) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr); // the server's threads leave them to this one
  httplib::Server server;
  set_pages(server, pages);
  int port = address.port;
  if (port == 0) port = server.bind_to_any_port(address.host);
  else if (!server.bind_to_port(address.host, port)) port = -1;
  if (port <= 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} port {} cannot be listened to: another program does, or the machine has no such address", address.host,
                            address.port),
                "--metrics");
  std::atomic<bool> ended{false};
  std::thread serving([&] {
    server.listen_after_bind();
    ended = true;
  });
  const bool is_v6 = address.host.find(':') != std::string::npos;
  pages.listening(fmt::format("http://{}{}{}:{}/metrics", is_v6 ? "[" : "", address.host, is_v6 ? "]" : "", port));
  const timespec pause{0, 200'000'000};
  while (!ended && sigtimedwait(&ends, nullptr, &pause) < 0) {
  }
  const bool asked_to = !ended;
  server.stop();
  serving.join();
  if (!asked_to) return fail(ErrorCode::kInternal, "the server ended by itself", "--metrics");
  return {};
}

} // namespace plimsoll::watch
