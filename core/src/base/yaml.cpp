// yaml-cpp's node graph spelled as JSON, with a limit on what aliases may expand to.
// Called through yaml.hpp. Never lets one of yaml-cpp's exceptions out. Threads: pure functions.
#include "base/yaml.hpp"

#include <fmt/format.h>
#include <sstream>
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

class Converter {
public:
  Result<std::string> run(const YAML::Node& root) {
    PLIMSOLL_TRY(value(root, 0));
    return std::move(out_);
  }

private:
  static tl::unexpected<Error> bad(const YAML::Node& node, const std::string& what) {
    const YAML::Mark mark = node.Mark();
    return fail(ErrorCode::kBadRequest, fmt::format("line {}, column {}: {}", mark.line + 1, mark.column + 1, what));
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

  Result<void> scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "?" || node.Tag().empty()) {
      std::string literal;
      switch (plain(text, literal)) {
      case Scalar::kLiteral: out_ += literal; return {};
      case Scalar::kRefused:
        return bad(node, fmt::format("'{}' is not a number in JSON; drop leading zeros, or quote it if it is text", text.substr(0, 64)));
      case Scalar::kText: break;
      }
    } else if (node.Tag() != "!" && node.Tag() != "tag:yaml.org,2002:str") {
      return bad(node, fmt::format("the tag '{}' is not supported", node.Tag().substr(0, 64)));
    }
    quoted(text);
    return {};
  }

  Result<void> value(const YAML::Node& node, std::size_t depth) {
    if (depth > kMaxYamlDepth) return bad(node, fmt::format("the document is nested deeper than {} levels", kMaxYamlDepth));
    if (out_.size() > kMaxJsonBytes) return bad(node, "the document grows beyond 4 MiB; use fewer aliases");
    switch (node.Type()) {
    case YAML::NodeType::Scalar: return scalar(node);
    case YAML::NodeType::Sequence: {
      out_ += '[';
      bool first = true;
      for (const YAML::Node& entry : node) {
        if (!first) out_ += ", ";
        first = false;
        PLIMSOLL_TRY(value(entry, depth + 1));
      }
      out_ += ']';
      return {};
    }
    case YAML::NodeType::Map: {
      out_ += '{';
      bool first = true;
      for (const auto& member : node) {
        if (!member.first.IsScalar()) return bad(member.first, "a key must be a plain word");
        if (member.first.Scalar() == "<<") return bad(member.first, "merge keys are not supported; repeat the entries");
        if (!first) out_ += ", ";
        first = false;
        quoted(member.first.Scalar());
        out_ += ": ";
        PLIMSOLL_TRY(value(member.second, depth + 1));
      }
      out_ += '}';
      return {};
    }
    default: out_ += "null"; return {};
    }
  }

  std::string out_;
};

class Ignore : public YAML::EventHandler {
public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// "no" or "more than one"; nullptr for one. yaml-cpp's own LoadAll never ends, and takes all memory, where something that
// is no document stands behind one ("a: 1\n]").
const char* other_than_one_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Ignore ignore;
  if (!parser.HandleNextDocument(ignore)) return "no";
  return parser.HandleNextDocument(ignore) ? "more than one" : nullptr;
}

} // namespace

Result<std::string> yaml_to_json(std::string_view yaml) {
  if (yaml.size() > kMaxYamlBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("the document has {} bytes; at most {} are read", yaml.size(), kMaxYamlBytes));
  try {
    const std::string text(yaml);
    if (const char* found = other_than_one_document(text))
      return fail(ErrorCode::kBadRequest, fmt::format("found {} YAML document, expected one", found));
    return Converter().run(YAML::Load(text));
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
