// What yaml-cpp's parser tells, spelled as JSON in one pass, with a limit on what aliases may expand to.
// Called through yaml.hpp. Never lets one of yaml-cpp's exceptions out. Threads: pure functions.
#include "base/yaml.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <sstream>
#include <vector>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

namespace plimsoll {
namespace {

constexpr std::size_t kMaxYamlBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxJsonBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxYamlDepth = 64;

bool digits(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; }

enum class Scalar { kText, kLiteral, kRefused };

// The JSON spelling of a plain scalar in `out`, or why it has none.
Scalar plain(std::string_view text, std::string& out) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    out = "null";
    return Scalar::kLiteral;
  }
  if (text == "true" || text == "True" || text == "TRUE" || text == "false" || text == "False" || text == "FALSE") {
    out = text[0] == 't' || text[0] == 'T' ? "true" : "false";
    return Scalar::kLiteral;
  }
  const bool negative = text[0] == '-';
  std::string_view rest = text.substr(negative || text[0] == '+' ? 1 : 0);
  if (rest == ".inf" || rest == ".Inf" || rest == ".INF" || text == ".nan" || text == ".NaN" || text == ".NAN") return Scalar::kRefused;
  std::string_view exponent;
  if (const std::size_t e = rest.find_first_of("eE"); e != std::string_view::npos) {
    exponent = rest.substr(e + 1);
    rest = rest.substr(0, e);
    if (!digits(exponent.substr(exponent.starts_with('-') || exponent.starts_with('+') ? 1 : 0))) return Scalar::kText;
  }
  std::string_view whole = rest, fraction;
  const std::size_t point = rest.find('.');
  if (point != std::string_view::npos) {
    whole = rest.substr(0, point);
    fraction = rest.substr(point + 1);
  }
  if ((whole.empty() && fraction.empty()) || (!whole.empty() && !digits(whole)) || (!fraction.empty() && !digits(fraction)))
    return Scalar::kText;
  if (whole.size() > 1 && whole[0] == '0') return Scalar::kRefused;
  out = negative ? "-" : "";
  out += whole.empty() ? std::string_view("0") : whole;
  if (point != std::string_view::npos) {
    out += '.';
    out += fraction.empty() ? std::string_view("0") : fraction;
  }
  if (!exponent.empty()) {
    out += 'e';
    out += exponent;
  }
  return Scalar::kLiteral;
}

// Spells what the parser tells of one document as JSON, in one pass. An alias repeats what its anchor came to. What JSON cannot say
// ends the spelling and not the parsing, whose own error counts more.
class Converter : public YAML::EventHandler {
public:
  Result<std::string> take() {
    if (refused_) return fail(ErrorCode::kBadRequest, *refused_);
    return std::move(out_);
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!value_begins(mark, nullptr)) return;
    const std::size_t begin = out_.size();
    out_ += "null";
    value_ends(begin, anchor, 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& text) override {
    const bool is_key = expects_key();
    if (!value_begins(mark, &text)) return;
    const std::size_t begin = out_.size();
    if (is_key) quoted(text);
    else scalar(mark, tag, text);
    value_ends(begin, anchor, 0, &text);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const bool is_key = expects_key();
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) return refuse(mark, "an alias stands inside of what it repeats");
    const Anchored& repeated = known->second;
    const std::size_t height = repeated.height;
    if (!value_begins(mark, repeated.scalar ? &*repeated.scalar : nullptr)) return;
    if (open_.size() + height > kMaxYamlDepth) return too_deep(mark);
    const std::size_t begin = out_.size();
    if (is_key) quoted(*repeated.scalar);
    else out_ += out_.substr(repeated.begin, repeated.end - repeated.begin);
    value_ends(begin, 0, height);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, false);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, anchor, true);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

private:
  struct Open {
    bool is_map = false, at_value = false, is_empty = true; // at_value: of a map whose key has just been written
    std::size_t begin = 0, height = 0;
    YAML::anchor_t anchor = 0;
  };
  struct Anchored {
    std::size_t begin = 0, end = 0, height = 0; // in the text so far; levels inside of it
    std::optional<std::string> scalar;          // as it was written
  };

  void refuse(const YAML::Mark& mark, const std::string& what) {
    if (!refused_) refused_ = fmt::format("line {}, column {}: {}", mark.line + 1, mark.column + 1, what);
  }
  void too_deep(const YAML::Mark& mark) { refuse(mark, fmt::format("the document is nested deeper than {} levels", kMaxYamlDepth)); }

  bool expects_key() const { return !open_.empty() && open_.back().is_map && !open_.back().at_value; }

  // What stands before a value or a key; false: it is none. `key`: its text; nullptr where it is none that a key could be.
  bool value_begins(const YAML::Mark& mark, const std::string* key) {
    if (out_.size() > kMaxJsonBytes) refuse(mark, "the document grows beyond 4 MiB; use fewer aliases");
    if (expects_key() && key == nullptr) refuse(mark, "a key must be a plain word");
    if (expects_key() && key != nullptr && *key == "<<") refuse(mark, "merge keys are not supported; repeat the entries");
    if (refused_) return false;
    if (open_.empty()) return true;
    Open& around = open_.back();
    if (around.at_value) out_ += ": ";
    else if (!around.is_empty) out_ += ", ";
    around.is_empty = false;
    return true;
  }

  void value_ends(std::size_t begin, YAML::anchor_t anchor, std::size_t height, const std::string* scalar = nullptr) {
    if (anchor != 0) anchors_[anchor] = {begin, out_.size(), height, scalar == nullptr ? std::nullopt : std::optional(*scalar)};
    if (open_.empty()) return;
    Open& around = open_.back();
    around.height = std::max(around.height, height + 1);
    around.at_value = around.is_map && !around.at_value;
  }

  void open(const YAML::Mark& mark, YAML::anchor_t anchor, bool is_map) {
    if (!value_begins(mark, nullptr)) return;
    if (open_.size() >= kMaxYamlDepth) return too_deep(mark);
    Open inner;
    inner.is_map = is_map;
    inner.begin = out_.size();
    inner.anchor = anchor;
    open_.push_back(inner);
    out_ += is_map ? '{' : '[';
  }
  void close() {
    if (refused_) return;
    const Open inner = open_.back();
    open_.pop_back();
    out_ += inner.is_map ? '}' : ']';
    value_ends(inner.begin, inner.anchor, inner.height);
  }

  void quoted(const std::string& text) {
    out_ += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        fmt::format_to(std::back_inserter(out_), "\\u{:04x}", static_cast<unsigned>(c));
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }

  void scalar(const YAML::Mark& mark, const std::string& tag, const std::string& text) {
    if (tag == "?" || tag.empty()) {
      std::string literal;
      switch (plain(text, literal)) {
      case Scalar::kLiteral: out_ += literal; return;
      case Scalar::kRefused:
        return refuse(mark, fmt::format("'{}' is not a number in JSON; drop leading zeros, or quote it if it is text", text.substr(0, 64)));
      case Scalar::kText: break;
      }
    } else if (tag != "!" && tag != "tag:yaml.org,2002:str") {
      return refuse(mark, fmt::format("the tag '{}' is not supported", tag.substr(0, 64)));
    }
    quoted(text);
  }

  std::string out_;
  std::optional<std::string> refused_; // why it is no document that JSON can say
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
};

} // namespace

Result<std::string> yaml_to_json(std::string_view yaml) {
  if (yaml.size() > kMaxYamlBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("the document has {} bytes; at most {} are read", yaml.size(), kMaxYamlBytes));
  // Documents one by one: yaml-cpp's own LoadAll never ends, and takes all memory, where something that is no document
  // stands behind one ("a: 1\n]").
  try {
    std::istringstream stream{std::string(yaml)};
    YAML::Parser parser(stream);
    Converter first, second;
    if (!parser.HandleNextDocument(first)) return fail(ErrorCode::kBadRequest, "found no YAML document, expected one");
    if (parser.HandleNextDocument(second)) return fail(ErrorCode::kBadRequest, "found more than one YAML document, expected one");
    return first.take();
  } catch (const std::exception& error) {
    return fail(ErrorCode::kBadRequest, fmt::format("not a YAML document: {}", error.what()));
  }
}

Result<Json> parse_yaml(std::string_view yaml, const std::string& where, ErrorCode code) {
  if (yaml.starts_with('{') && yaml.size() <= kMaxYamlBytes)
    if (auto json = parse_json(std::string(yaml), where, code)) return json;
  auto json = yaml_to_json(yaml);
  if (!json) return fail(code, json.error().message, where);
  return parse_json(std::move(*json), where, code);
}

} // namespace plimsoll
