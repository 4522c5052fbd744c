// A server of files for tests, on a port of this machine alone: whole files and ranges of them, and whatever else a test wants it to
// answer, wrong lengths and endings in the middle included. Called by tests of fetched models. Knows nothing of the library under test.
// Threads: one for every connection; the handler is called on them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::test {

struct HttpRequest {
  std::string target;                         // "/a/b?c=d"
  std::map<std::string, std::string> headers; // names in lower case
};

struct HttpAnswer {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::optional<std::uint64_t> promised_bytes = {}; // the Content-Length, where it is not that of the body
  bool says_length = true;                          // else the body ends with the connection
  std::chrono::milliseconds pause{0};               // before the body, and after every `step_bytes` of it
  std::size_t step_bytes = 0;
};

class HttpServer {
public:
  using Handler = std::function<HttpAnswer(const HttpRequest&)>;
  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(std::string_view host = "127.0.0.1") const; // "http://127.0.0.1:40123"
  std::vector<HttpRequest> seen() const;                      // every request so far
  std::size_t connections() const;

private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// A file whose first bytes are known; the others are zero.
struct ServedFile {
  std::string head;
  std::uint64_t file_bytes = 0;
  std::string etag = {}; // with its quotes; empty: none is sent
};

// What a server that knows ranges and ETags answers for one of its files; 404 for the others. A query is passed by.
class ServedFiles {
public:
  void add(const std::string& path, std::string text); // whole, with an ETag of its own
  void add(const std::string& path, ServedFile file) { files_[path] = std::move(file); }
  // Every file of a directory of this machine, below `path`: its first `head_bytes` and the length, JSON whole.
  void add_directory(const std::string& path, const std::string& directory, std::uint64_t head_bytes);
  HttpAnswer answer(const HttpRequest& request) const;
  // The hub's list of a repository's files: those below `path`.
  std::string listing(const std::string& path) const;

private:
  std::map<std::string, ServedFile> files_;
};

} // namespace plimsoll::test
