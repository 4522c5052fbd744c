#include "remote/transfer.hpp"

#include <algorithm>
#include <charconv>
#include <deque>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/printable.hpp"
#include "base/words.hpp"
#include "remote/curl_library.hpp"
#include "remote/remote_model.hpp"

namespace plimsoll {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRefusalBytes = 65'536, kHeaderBytes = 4'096, kHeaderLines = 512;

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || wrong != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' || text.back() == '\n')) text.remove_suffix(1);
  return text;
}

// <https://.../tree/main?cursor=...>; rel="next"
std::string next_of(std::string_view link) {
  while (!link.empty()) {
    const std::size_t open = link.find('<'), close = link.find('>', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos) return {};
    const std::string_view parameters = link.substr(close + 1, link.find(',', close) - close - 1);
    if (parameters.find("rel=\"next\"") != std::string_view::npos) return std::string(link.substr(open + 1, close - open - 1));
    link.remove_prefix(close + 1);
  }
  return {};
}

// What the headers of one answer say; those of redirects before it are forgotten.
struct Headers {
  std::string etag, link, encoding, error_code, range;
  std::optional<std::uint64_t> content_bytes;
  std::size_t lines = 0;
};

// One request on its way.
struct Flight {
  Wanted wanted;
  unsigned tries = 0;
  Clock::time_point not_before{};
  CURL* easy = nullptr;
  curl_slist* sent = nullptr;
  const CurlLibrary* curl = nullptr;
  std::uint64_t* received_bytes = nullptr;
  std::uint64_t received_limit = 0;
  Headers headers;
  std::string body;
  std::uint64_t passed_by = 0; // bytes of a whole file in front of what is wanted
  std::size_t refusal_bytes = 0;
  bool enough = false, over_limit = false, too_many_headers = false;
  char problem[CURL_ERROR_SIZE] = {};

  void forget_answer() {
    headers = {};
    body.clear();
    passed_by = 0;
    refusal_bytes = 0;
    enough = over_limit = too_many_headers = false;
    problem[0] = '\0';
  }
};

extern "C" std::size_t take_header(char* text, std::size_t, std::size_t bytes, void* to) {
  auto& flight = *static_cast<Flight*>(to);
  const std::string_view line = trimmed({text, bytes});
  if (line.starts_with("HTTP/")) {
    flight.headers = {};
    flight.body.clear();
    flight.passed_by = 0;
    return bytes;
  }
  if (++flight.headers.lines > kHeaderLines) {
    flight.too_many_headers = true;
    return 0;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || line.size() > kHeaderBytes) return bytes;
  const std::string name = lower_case(line.substr(0, colon));
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (name == "etag") flight.headers.etag = value;
  else if (name == "link") flight.headers.link = value;
  else if (name == "content-encoding") flight.headers.encoding = lower_case(value);
  else if (name == "x-error-code") flight.headers.error_code = printable_text(value, 64);
  else if (name == "content-range") flight.headers.range = value;
  else if (name == "content-length") flight.headers.content_bytes = whole_number(value);
  return bytes;
}

// Less than `bytes` back ends the transfer.
extern "C" std::size_t take_body(char* text, std::size_t, std::size_t bytes, void* to) {
  auto& flight = *static_cast<Flight*>(to);
  long status = 0;
  flight.curl->easy_getinfo(flight.easy, CURLINFO_RESPONSE_CODE, &status);
  *flight.received_bytes += bytes;
  if (*flight.received_bytes > flight.received_limit) {
    flight.over_limit = true;
    return 0;
  }
  if (status != 200 && status != 206) {
    flight.refusal_bytes += bytes;
    return flight.refusal_bytes > kRefusalBytes ? 0 : bytes;
  }
  std::size_t skipped = 0;
  if (status == 200 && flight.passed_by < flight.wanted.offset_bytes) {
    skipped = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, flight.wanted.offset_bytes - flight.passed_by));
    flight.passed_by += skipped;
  }
  const std::uint64_t room = flight.wanted.most_bytes - flight.body.size();
  const std::size_t taken = static_cast<std::size_t>(std::min<std::uint64_t>(bytes - skipped, room));
  flight.body.append(text + skipped, taken);
  if (taken < bytes - skipped || (status == 200 && !flight.wanted.whole && flight.body.size() == flight.wanted.most_bytes)) {
    flight.enough = true;
    return 0;
  }
  return bytes;
}

struct ContentRange {
  std::uint64_t first = 0, last = 0, file_bytes = 0;
};

// "bytes 0-99/1000"
std::optional<ContentRange> content_range(std::string_view text) {
  if (!lower_case(text.substr(0, 6)).starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const std::size_t dash = text.find('-'), slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) return std::nullopt;
  const auto first = whole_number(trimmed(text.substr(0, dash)));
  const auto last = whole_number(trimmed(text.substr(dash + 1, slash - dash - 1)));
  const auto file_bytes = whole_number(trimmed(text.substr(slash + 1)));
  if (!first || !last || !file_bytes || *first > *last || *last >= *file_bytes) return std::nullopt;
  return ContentRange{*first, *last, *file_bytes};
}

bool is_worth_another_try(long status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

bool is_worth_another_try(CURLcode code) {
  switch (code) {
  case CURLE_COULDNT_CONNECT:
  case CURLE_RECV_ERROR:
  case CURLE_SEND_ERROR:
  case CURLE_PARTIAL_FILE:
  case CURLE_GOT_NOTHING:
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_OPERATION_TIMEDOUT:
  case CURLE_HTTP2:
  case CURLE_HTTP2_STREAM: return true;
  default: return false;
  }
}

std::string_view advice_for(CURLcode code) {
  switch (code) {
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY: return "; look at the network, at https_proxy and, where there is a mirror, at HF_ENDPOINT";
  case CURLE_COULDNT_CONNECT: return "; look at the network, at https_proxy and no_proxy";
  case CURLE_OPERATION_TIMEDOUT: return "; try again, or give a larger --fetch-timeout";
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CACERT_BADFILE: return "; install ca-certificates, or set SSL_CERT_FILE to the authority of your proxy";
  case CURLE_TOO_MANY_REDIRECTS: return "; the server sends from one place to another and back";
  case CURLE_UNSUPPORTED_PROTOCOL: return "; a redirect leads where nothing is fetched from";
  case CURLE_PARTIAL_FILE:
  case CURLE_RECV_ERROR:
  case CURLE_GOT_NOTHING: return "; the connection ended early, try again";
  default: return "";
  }
}

class Engine {
public:
  Engine(const CurlLibrary& curl, const TransferLimits& limits, const Take& take, const Heard& heard)
      : curl_(curl), limits_(limits), take_(take), heard_(heard), multi_(curl.multi_init()), end_(Clock::now() + limits.time) {}
  ~Engine() {
    for (const auto& flight : flying_) land(*flight);
    for (CURL* easy : idle_) curl_.easy_cleanup(easy);
    if (multi_ != nullptr) curl_.multi_cleanup(multi_);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Result<void> run(std::vector<Wanted> wanted) {
    if (multi_ == nullptr) return fail(ErrorCode::kInternal, "libcurl has no memory");
    curl_.multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(limits_.connections));
    queue(std::move(wanted));
    while (!waiting_.empty() || !flying_.empty()) {
      PLIMSOLL_TRY(start_some());
      int running = 0;
      if (curl_.multi_perform(multi_, &running) != CURLM_OK) return fail(ErrorCode::kInternal, "libcurl failed");
      PLIMSOLL_TRY(take_finished());
      if (Clock::now() >= end_) return out_of_time();
      if (heard_) heard_(received_bytes_);
      if (waiting_.empty() ? flying_.empty() : flying_.size() < limits_.connections && is_due(*waiting_.front())) continue;
      curl_.multi_poll(multi_, nullptr, 0, wait_ms(), nullptr);
    }
    return {};
  }

private:
  void queue(std::vector<Wanted> wanted) {
    for (Wanted& one : wanted) {
      auto flight = std::make_unique<Flight>();
      flight->wanted = std::move(one);
      waiting_.push_back(std::move(flight));
    }
  }

  static bool is_due(const Flight& flight) { return flight.not_before <= Clock::now(); }

  int wait_ms() const {
    auto until = std::min(end_, Clock::now() + std::chrono::milliseconds(200));
    for (const auto& flight : waiting_) until = std::min(until, std::max(flight->not_before, Clock::now() + std::chrono::milliseconds(1)));
    if (flying_.size() >= limits_.connections) until = std::min(end_, Clock::now() + std::chrono::milliseconds(200));
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 200));
  }

  tl::unexpected<Error> out_of_time() const {
    const std::string& url = flying_.empty() ? waiting_.front()->wanted.url : flying_.front()->wanted.url;
    return fail(ErrorCode::kBadRequest,
                fmt::format("not all was there after {:g} s; try again, what is complete is kept, or give a larger --fetch-timeout",
                            static_cast<double>(limits_.time.count()) / 1000),
                shown_url(url));
  }

  Result<void> start_some() {
    for (std::size_t at = 0; at < waiting_.size() && flying_.size() < limits_.connections;) {
      if (!is_due(*waiting_[at])) {
        ++at;
        continue;
      }
      std::unique_ptr<Flight> flight = std::move(waiting_[at]);
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(at));
      PLIMSOLL_TRY(start(*flight));
      flying_.push_back(std::move(flight));
    }
    return {};
  }

  void add_sent(Flight& flight, const std::string& line) {
    curl_slist* const longer = curl_.slist_append(flight.sent, line.c_str());
    if (longer != nullptr) flight.sent = longer;
  }

  Result<void> start(Flight& flight) {
    if (idle_.empty()) {
      flight.easy = curl_.easy_init();
      if (flight.easy == nullptr) return fail(ErrorCode::kInternal, "libcurl has no memory");
    } else {
      flight.easy = idle_.back();
      idle_.pop_back();
      curl_.easy_reset(flight.easy);
    }
    flight.forget_answer();
    flight.curl = &curl_;
    flight.received_bytes = &received_bytes_;
    flight.received_limit = limits_.received_bytes;
    ++flight.tries;
    const auto set = [&](auto option, auto value) { curl_.easy_setopt(flight.easy, option, value); };
    const Wanted& wanted = flight.wanted;
    const bool secure = wanted.url.starts_with("https://");
    set(CURLOPT_URL, wanted.url.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https"); // nothing that was asked for safely comes unsafely
#else
    set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    set(CURLOPT_REDIR_PROTOCOLS, static_cast<long>(secure ? CURLPROTO_HTTPS : CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, static_cast<long>(limits_.redirects));
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_BUFFERSIZE, 131'072L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits_.connect_time.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, 1024L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(limits_.stall_time.count()));
    set(CURLOPT_USERAGENT, "plimsoll/" PLIMSOLL_VERSION);
    set(CURLOPT_ERRORBUFFER, flight.problem);
    set(CURLOPT_HEADERFUNCTION, &take_header);
    set(CURLOPT_HEADERDATA, &flight);
    set(CURLOPT_WRITEFUNCTION, &take_body);
    set(CURLOPT_WRITEDATA, &flight);
    set(CURLOPT_PRIVATE, &flight);
    if (!wanted.whole) {
      range_ = fmt::format("{}-{}", wanted.offset_bytes, wanted.offset_bytes + wanted.most_bytes - 1);
      set(CURLOPT_RANGE, range_.c_str());
    }
    add_sent(flight, "Accept-Encoding: identity");
    if (!wanted.known_etag.empty()) add_sent(flight, "If-None-Match: " + wanted.known_etag);
    // libcurl leaves this header out where a redirect leads to another host, port or scheme.
    if (!wanted.token.empty()) add_sent(flight, "Authorization: Bearer " + wanted.token);
    set(CURLOPT_HTTPHEADER, flight.sent);
    if (curl_.multi_add_handle(multi_, flight.easy) != CURLM_OK) return fail(ErrorCode::kInternal, "libcurl failed");
    return {};
  }

  void land(Flight& flight) {
    if (flight.easy != nullptr) {
      curl_.multi_remove_handle(multi_, flight.easy);
      idle_.push_back(flight.easy);
      flight.easy = nullptr;
    }
    if (flight.sent != nullptr) curl_.slist_free_all(flight.sent);
    flight.sent = nullptr;
  }

  Result<void> take_finished() {
    int left = 0;
    while (const CURLMsg* const message = curl_.multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      CURL* const easy = message->easy_handle;
      long status = 0;
      curl_.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
      curl_off_t asked_pause_s = 0;
      curl_.easy_getinfo(easy, CURLINFO_RETRY_AFTER, &asked_pause_s);
      const auto at = std::find_if(flying_.begin(), flying_.end(), [&](const auto& flight) { return flight->easy == easy; });
      if (at == flying_.end()) return fail(ErrorCode::kInternal, "libcurl ended a request that nobody made");
      std::unique_ptr<Flight> flight = std::move(*at);
      flying_.erase(at);
      land(*flight);
      PLIMSOLL_TRY(finished(std::move(flight), code, status, std::chrono::seconds(asked_pause_s)));
    }
    return {};
  }

  tl::unexpected<Error> wrong(const Flight& flight, std::string message) const {
    return fail(ErrorCode::kBadRequest, std::move(message), shown_url(flight.wanted.url));
  }

  Result<void> finished(std::unique_ptr<Flight> flight, CURLcode code, long status, std::chrono::seconds asked_pause) {
    if (flight->over_limit)
      return wrong(*flight, fmt::format("more than {} bytes came for the headers of one model, which none has", limits_.received_bytes));
    if (flight->too_many_headers) return wrong(*flight, "the server's answer has more headers than any has");
    const bool refusal = code == CURLE_WRITE_ERROR && status != 200 && status != 206;
    if (code == CURLE_WRITE_ERROR && (flight->enough || refusal)) code = CURLE_OK;
    const bool again = code == CURLE_OK ? is_worth_another_try(status) : is_worth_another_try(code);
    if (again && flight->tries < limits_.tries) {
      auto pause = limits_.first_pause * (1 << (flight->tries - 1));
      if (code == CURLE_OK && asked_pause.count() > 0) pause = std::min<std::chrono::milliseconds>(asked_pause, limits_.longest_pause);
      flight->not_before = Clock::now() + pause;
      waiting_.push_back(std::move(flight));
      return {};
    }
    if (code != CURLE_OK) {
      const std::string_view said = flight->problem[0] == '\0' ? curl_.easy_strerror(code) : flight->problem;
      return wrong(*flight, fmt::format("cannot be fetched: {}{}{}", printable_text(said, 200),
                                        flight->tries > 1 ? fmt::format(", {} times", flight->tries) : "", advice_for(code)));
    }
    PLIMSOLL_ASSIGN(Got got, answer(*flight, status));
    std::vector<Wanted> more;
    PLIMSOLL_TRY(take_(flight->wanted, std::move(got), more));
    queue(std::move(more));
    return {};
  }

  // What an answer that came to its end says, held to what was asked.
  Result<Got> answer(Flight& flight, long status) const {
    Got got;
    got.status = status;
    got.etag = flight.headers.etag;
    got.next_page = next_of(flight.headers.link);
    got.error_code = flight.headers.error_code;
    if (status != 200 && status != 206) return got;
    if (!flight.headers.encoding.empty() && flight.headers.encoding != "identity")
      return wrong(flight,
                   fmt::format("the server packs the file ({}), although it was asked not to; bytes of it cannot be found then; give "
                               "a URL without such a proxy",
                               printable_text(flight.headers.encoding, 32)));
    const Wanted& wanted = flight.wanted;
    if (status == 206) {
      const auto range = content_range(flight.headers.range);
      if (wanted.whole || !range || range->first != wanted.offset_bytes)
        return wrong(flight, fmt::format("bytes {} to {} were asked for, and the server answered with '{}'; its ranges cannot be used",
                                         wanted.offset_bytes, wanted.offset_bytes + wanted.most_bytes - 1,
                                         printable_text(flight.headers.range, 80)));
      const std::uint64_t promised = std::min(range->last - range->first + 1, wanted.most_bytes);
      if (flight.body.size() < promised)
        return wrong(flight, fmt::format("{} bytes came of {} that were promised; the answer is truncated, try again", flight.body.size(),
                                         promised));
      got.file_bytes = range->file_bytes;
      got.size_known = true;
    } else if (flight.headers.content_bytes) {
      got.file_bytes = *flight.headers.content_bytes;
      got.size_known = true;
    } else if (!flight.enough) {
      got.file_bytes = flight.passed_by + flight.body.size();
      got.size_known = true;
    }
    got.body = std::move(flight.body);
    got.more = flight.enough || (got.size_known && wanted.offset_bytes + got.body.size() < got.file_bytes);
    return got;
  }

  const CurlLibrary& curl_;
  const TransferLimits& limits_;
  const Take& take_;
  const Heard& heard_;
  CURLM* multi_;
  Clock::time_point end_;
  std::deque<std::unique_ptr<Flight>> waiting_;
  std::vector<std::unique_ptr<Flight>> flying_;
  std::vector<CURL*> idle_;
  std::uint64_t received_bytes_ = 0;
  std::string range_; // libcurl copies it
};

} // namespace

Result<void> transfer(std::vector<Wanted> wanted, const TransferLimits& limits, const Take& take, const Heard& heard) {
  const Result<CurlLibrary>& curl = curl_library();
  if (!curl) return tl::unexpected(curl.error());
  return Engine(*curl, limits, take, heard).run(std::move(wanted));
}

std::string shown_url(const std::string& url) {
  std::string out = url.substr(0, url.find_first_of("?#"));
  const std::size_t host = out.find("://");
  if (host == std::string::npos) return printable_text(out, 400);
  const std::size_t path = out.find('/', host + 3), at = out.rfind('@', path);
  if (at != std::string::npos && at > host) out.erase(host + 3, at - host - 2);
  return printable_text(out, 400);
}

} // namespace plimsoll
