#include "support/http_server.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace plimsoll::test {
namespace {

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

HttpRequest parse_request(std::string_view head) {
  HttpRequest request;
  const std::size_t line = std::min(head.find("\r\n"), head.size());
  const std::size_t first = head.find(' '), second = head.find(' ', first + 1);
  if (first < line && second < line) request.target = head.substr(first + 1, second - first - 1);
  head.remove_prefix(std::min(line + 2, head.size()));
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view one = head.substr(0, end);
    if (const std::size_t colon = one.find(':'); colon != std::string_view::npos)
      request.headers[lower_case(std::string(one.substr(0, colon)))] =
          one.substr(std::min(one.find_first_not_of(' ', colon + 1), one.size()));
    head.remove_prefix(std::min(end + 2, head.size()));
  }
  return request;
}

std::string head_of(const HttpAnswer& answer) {
  std::string out = "HTTP/1.1 " + std::to_string(answer.status) + " Said\r\n";
  for (const auto& [name, value] : answer.headers) out.append(name).append(": ").append(value).append("\r\n");
  if (answer.says_length) out += "Content-Length: " + std::to_string(answer.promised_bytes.value_or(answer.body.size())) + "\r\n";
  else out += "Connection: close\r\n";
  return out + "\r\n";
}

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

} // namespace

struct HttpServer::Data {
  Handler handler;
  int listener = -1;
  std::uint16_t port = 0;
  std::atomic<bool> ending{false};
  mutable std::mutex mutex;
  std::vector<HttpRequest> seen;
  std::vector<int> sockets;
  std::vector<std::thread> threads;
  std::thread accepting;

  void wait(std::chrono::milliseconds time) const {
    for (const auto end = std::chrono::steady_clock::now() + time; !ending && std::chrono::steady_clock::now() < end;)
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min<std::int64_t>(5, time.count())));
  }

  bool send_answer(int socket, const HttpAnswer& answer) const {
    const std::string head = head_of(answer);
    if (answer.pause.count() == 0) return send_all(socket, head + answer.body) && answer.says_length && !answer.promised_bytes;
    if (!send_all(socket, head)) return false;
    std::string_view rest = answer.body;
    while (!rest.empty() && !ending) {
      wait(answer.pause);
      const std::size_t step = answer.step_bytes == 0 ? rest.size() : std::min(answer.step_bytes, rest.size());
      if (!send_all(socket, rest.substr(0, step))) return false;
      rest.remove_prefix(step);
    }
    return answer.says_length && !answer.promised_bytes && !ending;
  }

  void serve(int socket) {
    std::string text;
    char bytes[8192];
    for (;;) {
      const std::size_t end = text.find("\r\n\r\n");
      if (end == std::string::npos) {
        const ssize_t got = ::recv(socket, bytes, sizeof bytes, 0);
        if (got <= 0) break;
        text.append(bytes, static_cast<std::size_t>(got));
        continue;
      }
      const HttpRequest request = parse_request(std::string_view(text).substr(0, end));
      text.erase(0, end + 4);
      {
        const std::lock_guard lock(mutex);
        seen.push_back(request);
      }
      if (!send_answer(socket, handler(request))) break;
    }
    ::shutdown(socket, SHUT_RDWR);
  }

  void accept_all() {
    for (;;) {
      const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) return;
      const int on = 1;
      ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const std::lock_guard lock(mutex);
      sockets.push_back(socket);
      threads.emplace_back([this, socket] { serve(socket); });
    }
  }
};

HttpServer::HttpServer(Handler handler) : data_(std::make_unique<Data>()) {
  data_->handler = std::move(handler);
  data_->listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  if (::bind(data_->listener, plain, length) != 0 || ::listen(data_->listener, 128) != 0 ||
      ::getsockname(data_->listener, plain, &length) != 0)
    throw std::runtime_error("no port for a server");
  data_->port = ntohs(address.sin_port);
  data_->accepting = std::thread([this] { data_->accept_all(); });
}

HttpServer::~HttpServer() {
  data_->ending = true;
  ::shutdown(data_->listener, SHUT_RDWR);
  data_->accepting.join();
  ::close(data_->listener);
  for (const int socket : data_->sockets) ::shutdown(socket, SHUT_RDWR);
  for (std::thread& thread : data_->threads) thread.join();
  for (const int socket : data_->sockets) ::close(socket);
}

std::string HttpServer::url(std::string_view host) const { return "http://" + std::string(host) + ":" + std::to_string(data_->port); }

std::vector<HttpRequest> HttpServer::seen() const {
  const std::lock_guard lock(data_->mutex);
  return data_->seen;
}

std::size_t HttpServer::connections() const {
  const std::lock_guard lock(data_->mutex);
  return data_->sockets.size();
}

void ServedFiles::add(const std::string& path, std::string text) {
  const std::string etag = "\"" + std::to_string(std::hash<std::string>()(text)) + "\"";
  const std::uint64_t bytes = text.size();
  files_[path] = {std::move(text), bytes, etag};
}

void ServedFiles::add_directory(const std::string& path, const std::string& directory, std::uint64_t head_bytes) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = std::filesystem::relative(entry.path(), directory).generic_string();
    const std::uint64_t file_bytes = entry.file_size();
    std::string head(name.ends_with(".json") ? file_bytes : std::min(file_bytes, head_bytes), '\0');
    std::ifstream(entry.path(), std::ios::binary).read(head.data(), static_cast<std::streamsize>(head.size()));
    files_[path + "/" + name] = {std::move(head), file_bytes, "\"" + std::to_string(std::hash<std::string>()(name)) + "\""};
  }
}

HttpAnswer ServedFiles::answer(const HttpRequest& request) const {
  const auto found = files_.find(request.target.substr(0, request.target.find('?')));
  HttpAnswer out;
  out.status = 404;
  if (found == files_.end()) return out;
  const ServedFile& file = found->second;
  if (!file.etag.empty()) out.headers.emplace_back("ETag", file.etag);
  if (const auto asked = request.headers.find("if-none-match"); asked != request.headers.end() && asked->second == file.etag) {
    out.status = 304;
    return out;
  }
  std::uint64_t first = 0, last = file.file_bytes - 1;
  out.status = 200;
  if (const auto range = request.headers.find("range"); range != request.headers.end()) {
    const std::size_t dash = range->second.find('-');
    first = std::stoull(range->second.substr(6, dash - 6));
    last = std::min<std::uint64_t>(std::stoull(range->second.substr(dash + 1)), last);
    if (first >= file.file_bytes) {
      out.status = 416;
      out.headers.emplace_back("Content-Range", "bytes */" + std::to_string(file.file_bytes));
      return out;
    }
    out.status = 206;
    out.headers.emplace_back("Content-Range",
                             "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" + std::to_string(file.file_bytes));
  }
  if (file.file_bytes == 0) return out;
  out.body = first < file.head.size() ? file.head.substr(first, last - first + 1) : std::string();
  out.body.resize(last - first + 1, '\0');
  return out;
}

std::string ServedFiles::listing(const std::string& path) const {
  std::string out;
  for (const auto& [name, file] : files_)
    if (name.starts_with(path + "/"))
      out += std::string(out.empty() ? "[" : ", ") + R"({"type": "file", "oid": "0", "size": )" + std::to_string(file.file_bytes) +
             R"(, "path": ")" + name.substr(path.size() + 1) + "\"}";
  return out.empty() ? "[]" : out + "]";
}

} // namespace plimsoll::test
