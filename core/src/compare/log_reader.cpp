// See log_reader.hpp.
#include "compare/log_reader.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <utility>

#include "base/digit.hpp"
#include "compare/line_filter.hpp"
#include "compare/line_parts.hpp"
#include "compare/wrapped_lines.hpp"

namespace plimsoll {
namespace {

constexpr double kMostPrinted = 1e12;            // of any unit; larger numbers are no figures
constexpr std::size_t kMostLineBytes = 1U << 16; // an engine's configuration is one line of a few KiB

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
    while (at + 1 < line.size() && (is_digit(line[at + 1]) || line[at + 1] == ';' || line[at + 1] == '?')) ++at;
    ++at;
  }
  return room;
}

// v_cache_bytes and ssm_state_bytes become part of a figure in the end.
bool is_figure(std::string_view name) {
  return name == "v_cache_bytes" || name == "ssm_state_bytes" ||
         std::any_of(kComparedFigures.begin(), kComparedFigures.end(), [&](const FigureInfo& info) { return info.name == name; });
}

class Reader {
public:
  Reader(const Wording& wording, const std::string& file) : wording_(wording), file_(file) {
    start_.engine = wording.engine;
    start_.place = start_.id = file;
  }
  // `line` may be one of `words`. `serial` tells lines apart, `number` is that of an editor, 0 where the file's
  // name says where.
  void take(const LineWording& words, std::string_view line, std::size_t serial, std::size_t number) {
    if (!words.inside.empty() && line.find(words.inside) == std::string_view::npos) return;
    begin(line, serial);
    const std::optional<std::string_view> text = part_of(words, line);
    if (!text) return;
    const auto match = words.pattern.match(*text);
    if (!match) return;
    matched_ += words.shared ? 0 : 1;
    const std::string place = number == 0 ? file_ : fmt::format("{}:{}", file_, number);
    say(words, text->substr(match->begin), place);
    for (const LinePattern::Capture& capture : match->captures) {
      if (std::find(seen_.begin(), seen_.end(), capture.field->name) != seen_.end()) continue;
      seen_.push_back(capture.field->name);
      keep(capture, words.take, place);
    }
  }
  std::size_t matched() const { return matched_; }
  bool refused() const { return start_.refusal.kind != StartRefusal::kNone; }
  EngineStart finish() {
    const auto* k = start_.find("kv_dtype_k");
    const auto* v = start_.find("kv_dtype_v");
    if (k != nullptr && v != nullptr) start_.set("kv_dtype", *k == *v ? *k : *k + "/" + *v, start_.settings["kv_dtype_k"].place);
    add("v_cache_bytes", "kv_cache_bytes");
    add("ssm_state_bytes", "state_bytes");
    if (!start_.served) add_implied_refusal(start_);
    return std::move(start_);
  }

private:
  // What is the line's own, once for all of its patterns.
  void begin(std::string_view line, std::size_t serial) {
    if (std::exchange(serial_, serial) == serial) return;
    seen_.clear();
    split_ = wording_.parts.empty() ? LineParts() : parts_of_line(line, wording_.parts);
  }
  // Where the pattern may stand; nothing where the line has no such part.
  std::optional<std::string_view> part_of(const LineWording& words, std::string_view line) const {
    if (words.part.empty()) return split_.parts.empty() ? line : std::string_view(split_.rest);
    for (const auto& [text, part] : split_.parts)
      if (text == words.part) return part;
    return std::nullopt;
  }
  void say(const LineWording& words, std::string_view sentence, const std::string& place) {
    switch (words.says) {
    case Says::kNothing: return;
    case Says::kArguments: start_.defaults_known = true; return;
    case Says::kStarted: start_.served = true; [[fallthrough]];
    case Says::kRetried: start_.refusal = {}; return;
    case Says::kRefused: break;
    }
    // The first sentence names the cause; what fails after it follows from it. A plain failed allocation explains the least.
    const bool better = start_.refusal.kind == StartRefusal::kNone ||
                        (start_.refusal.kind == StartRefusal::kOutOfMemory && words.refusal != StartRefusal::kOutOfMemory);
    if (!start_.served && better) start_.refusal = {words.refusal, std::string(sentence.substr(0, kMaxRefusalText)), place};
  }
  // Two parts of one figure.
  void add(const std::string& part, const std::string& whole) {
    const auto from = start_.printed.find(part), to = start_.printed.find(whole);
    if (from == start_.printed.end()) return;
    if (to != start_.printed.end()) {
      to->second.value += from->second.value;
      to->second.step += from->second.step;
    }
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
  std::vector<std::string_view> seen_; // fields of the line `serial_`
  LineParts split_;                    // of the line `serial_`
  std::size_t serial_ = 0, matched_ = 0;
};

// The wordings of every engine, and which of their lines a text line may be.
class Words {
public:
  Words(const Words&) = delete; // lines point at readers
  Words& operator=(const Words&) = delete;
  Words(const std::vector<Wording>& wordings, const std::string& file) {
    std::vector<std::string_view> keys;
    readers_.reserve(wordings.size());
    for (const Wording& wording : wordings) {
      readers_.emplace_back(wording, file);
      for (const LineWording& line : wording.lines) {
        lines_.push_back({&readers_.back(), &line});
        keys.push_back(line.key());
      }
    }
    filter_.emplace(keys);
  }
  void take(std::string_view line, std::size_t serial, std::size_t number) {
    for (const std::uint32_t at : filter_->look(line)) lines_[at].reader->take(*lines_[at].words, line, serial, number);
  }
  // The engine whose words were spoken most.
  Reader& best() {
    return *std::max_element(readers_.begin(), readers_.end(), [](const Reader& a, const Reader& b) { return a.matched() < b.matched(); });
  }

  // Whether an engine refused in words that are not its own.
  bool spoke() const {
    return std::any_of(readers_.begin(), readers_.end(), [](const Reader& reader) { return reader.refused(); });
  }

private:
  struct Line {
    Reader* reader;
    const LineWording* words;
  };
  std::vector<Reader> readers_;
  std::vector<Line> lines_;
  std::optional<LineFilter> filter_;
};

} // namespace

void add_implied_refusal(EngineStart& start) {
  if (start.refusal.kind != StartRefusal::kNone) return;
  const auto find = [&](const char* figure) {
    const auto it = start.printed.find(figure);
    return it == start.printed.end() ? nullptr : &it->second;
  };
  const Printed *left = find("available_kv_bytes"), *needed = find("needed_kv_bytes"), *longest = find("estimated_max_length");
  if (left != nullptr && left->value <= 0) start.refusal = {StartRefusal::kNoKvMemory, "nothing is left for the KV cache", left->place};
  else if ((needed != nullptr || longest != nullptr) && find("kv_tokens") == nullptr && find("kv_blocks") == nullptr)
    start.refusal = {StartRefusal::kOneRequest, "not one request of the greatest length", (needed != nullptr ? needed : longest)->place};
}

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
  if (text.starts_with(wording.release_prefix) && text.size() > wording.release_prefix.size() &&
      is_digit(text[wording.release_prefix.size()]))
    return text;
  return text.empty() || !is_digit(text[0]) ? std::string() : wording.release_prefix + text;
}

Result<EngineStart> read_log(std::string_view text, const std::string& file, const std::vector<Wording>& wordings) {
  std::string room;
  Words words(wordings, file);
  std::size_t feed = 0; // the next line feed
  for (std::size_t at = 0, number = 1, serial = 1; at < text.size(); ++serial) {
    // A progress bar overwrites its line with \r; line numbers are those of an editor.
    if (text[at] == '\n' || text[at] == '\r') {
      if (text[at] == '\n') ++number;
      ++at;
      continue;
    }
    if (feed <= at) feed = std::min(text.find('\n', at), text.size());
    const std::size_t end = at + std::min(text.substr(at, feed - at).find('\r'), feed - at);
    words.take(plain(text.substr(at, std::min(end - at, kMostLineBytes)), room), serial, number);
    at = end;
  }
  // Lines may have been cut at a column: put together they are right where they then say more.
  Reader* best = &words.best();
  std::array<std::optional<Words>, 2> wholes;
  const std::string_view uncoloured = plain(text, room);
  for (const CutAt cut_at : {CutAt::kColumn, CutAt::kWord})
    if (const auto joined = joined_lines(uncoloured, cut_at)) {
      Words& whole = wholes[static_cast<std::size_t>(cut_at)].emplace(wordings, file);
      std::size_t serial = 0;
      for (const JoinedLine& line : *joined) whole.take(line.text, ++serial, line.number);
      if (whole.best().matched() > best->matched()) best = &whole.best();
    }
  if (best->matched() == 0)
    return fail(ErrorCode::kBadRequest,
                words.spoke() ? "what is said here several engines print; give more of the log, in which the engine prints lines of its own"
                              : "no line is one that a known engine prints at its start; give the engine's own log, as text",
                file);
  return best->finish();
}

EngineStart read_sentence(std::string_view sentence, const std::string& place, const Wording& wording) {
  Reader reader(wording, place);
  for (const LineWording& line : wording.lines) reader.take(line, sentence.substr(0, kMostLineBytes), 1, 0);
  return reader.finish();
}

} // namespace plimsoll
