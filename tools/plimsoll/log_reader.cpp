// See log_reader.hpp.
#include "log_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace plimsoll::cli {
namespace {

constexpr double kMostPrinted = 1e12;            // of any unit; larger numbers are no figures
constexpr std::size_t kMostLineBytes = 1U << 16; // an engine's configuration is one line of a few KiB

bool digit(char c) { return c >= '0' && c <= '9'; }

// The line without terminal sequences: ESC [ ... letter.
std::string_view plain(std::string_view line, std::string& room) {
  if (line.find('\x1b') == std::string_view::npos) return line;
  room.clear();
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] != '\x1b') {
      room += line[at];
      continue;
    }
    if (at + 1 < line.size() && line[at + 1] == '[') ++at;
    while (at + 1 < line.size() && (digit(line[at + 1]) || line[at + 1] == ';' || line[at + 1] == '?')) ++at;
    ++at;
  }
  return room;
}

// v_cache_bytes and ssm_state_bytes become part of a figure in the end.
bool is_figure(std::string_view name) {
  return name == "v_cache_bytes" || name == "ssm_state_bytes" ||
         std::any_of(kFigures.begin(), kFigures.end(), [&](const FigureInfo& info) { return info.name == name; });
}

class Reader {
public:
  Reader(const Wording& wording, const std::string& file) : wording_(wording), file_(file) {
    start_.engine = wording.engine;
    start_.place = start_.id = file;
  }
  void take(std::string_view line, std::size_t number) {
    std::vector<std::string_view> seen;
    for (const LineWording& words : wording_.lines) {
      if (!words.inside.empty() && line.find(words.inside) == std::string_view::npos) continue;
      const auto captures = words.pattern.match(line);
      if (!captures) continue;
      ++matched_;
      for (const LinePattern::Capture& capture : *captures) {
        if (std::find(seen.begin(), seen.end(), capture.field->name) != seen.end()) continue;
        seen.push_back(capture.field->name);
        keep(capture, words.take, fmt::format("{}:{}", file_, number));
      }
    }
  }
  std::size_t matched() const { return matched_; }
  EngineStart finish() {
    const auto* k = start_.find("kv_dtype_k");
    const auto* v = start_.find("kv_dtype_v");
    if (k != nullptr && v != nullptr) start_.set("kv_dtype", *k == *v ? *k : *k + "/" + *v, start_.settings["kv_dtype_k"].place);
    add("v_cache_bytes", "kv_cache_bytes");
    add("ssm_state_bytes", "state_bytes");
    return std::move(start_);
  }

private:
  // Two parts of one figure.
  void add(const std::string& part, const std::string& whole) {
    const auto from = start_.printed.find(part), to = start_.printed.find(whole);
    if (from == start_.printed.end()) return;
    if (to != start_.printed.end()) to->second.value += from->second.value, to->second.step += from->second.step;
    start_.printed.erase(from);
  }
  void keep(const LinePattern::Capture& capture, Take take, const std::string& place) {
    const std::string& name = capture.field->name;
    if (capture.field->scale > 0) {
      const auto number = printed_number(capture.text);
      if (number) keep_number(name, {number->first * capture.field->scale, number->second * capture.field->scale, place}, take);
      return;
    }
    std::string value(capture.text);
    if (const auto values = wording_.values.find(name); values != wording_.values.end())
      if (const auto it = values->second.find(value); it != values->second.end()) value = it->second;
    if (value.empty()) return;
    if (name == "model") start_.model = start_.model.empty() ? value : start_.model;
    else if (name == "release") start_.release = start_.release.empty() ? release_of(value, wording_) : start_.release;
    else if (take == Take::kLast) start_.settings[name] = {value, place};
    else start_.set(name, value, place);
  }
  void keep_number(const std::string& name, Printed printed, Take take) {
    if (!is_figure(name)) return start_.set(name, fmt::format("{:.0f}", printed.value), printed.place);
    const auto [it, added] = start_.printed.try_emplace(name, printed);
    if (added) return;
    Printed& known = it->second;
    if (take == Take::kSum) {
      known.value += printed.value;
      known.step += printed.step;
    } else if (printed.step < known.step ||
               (printed.step == known.step && (take == Take::kLast || (take == Take::kLeast && printed.value < known.value) ||
                                               (take == Take::kMost && printed.value > known.value)))) {
      known = std::move(printed); // the same figure, printed finer or as the one that counts
    }
  }

  const Wording& wording_;
  std::string file_;
  EngineStart start_;
  std::size_t matched_ = 0;
};

} // namespace

std::optional<std::pair<double, double>> printed_number(std::string_view text) {
  std::string digits;
  for (const char c : text.substr(0, 40))
    if (c != ',') digits += c;
  double value = 0;
  const char* begin = digits.data() + (digits.starts_with('+') ? 1 : 0);
  const auto [stop, status] = std::from_chars(begin, digits.data() + digits.size(), value);
  if (status != std::errc() || stop != digits.data() + digits.size() || std::abs(value) > kMostPrinted) return std::nullopt;
  const std::size_t point = digits.find('.');
  const double step = point == std::string::npos ? 0 : std::pow(10.0, -static_cast<double>(digits.size() - point - 1));
  return std::pair(value, step);
}

std::string release_of(std::string_view printed, const Wording& wording) {
  std::string text(printed.substr(0, std::min(printed.find_first_of(" ("), printed.size())));
  if (text.starts_with('v')) text.erase(0, 1);
  if (text.starts_with(wording.release_prefix) && text.size() > wording.release_prefix.size() && digit(text[wording.release_prefix.size()]))
    return text;
  return text.empty() || !digit(text[0]) ? std::string() : wording.release_prefix + text;
}

Result<EngineStart> read_log(std::string_view text, const std::string& file, const std::vector<Wording>& wordings) {
  std::vector<Reader> readers;
  readers.reserve(wordings.size());
  for (const Wording& wording : wordings) readers.emplace_back(wording, file);
  std::string room;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    const std::string_view line = plain(text.substr(0, std::min(end, kMostLineBytes)), room);
    for (Reader& reader : readers) reader.take(line, number);
    // A progress bar overwrites its line with \r; line numbers are those of an editor.
    const bool counts = end < text.size() && (text[end] == '\n' || (end + 1 < text.size() && text[end + 1] == '\n'));
    if (end + 1 < text.size() && text[end] == '\r' && text[end + 1] == '\n') text.remove_prefix(1);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!counts) --number;
  }
  const auto best =
      std::max_element(readers.begin(), readers.end(), [](const Reader& a, const Reader& b) { return a.matched() < b.matched(); });
  if (best == readers.end() || best->matched() == 0)
    return fail(ErrorCode::kBadRequest, "no line is one that a known engine prints at its start; give the engine's own log, as text", file);
  return best->finish();
}

} // namespace plimsoll::cli
