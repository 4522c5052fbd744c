#include "base/json.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <mutex>
#include <simdjson.h>
#include <unordered_set>
#include <utility>
#include <vector>

namespace plimsoll {
namespace {

constexpr std::size_t kMaxJsonDepth = 64;
constexpr std::size_t kFewKeys = 32;              // of an object: compared one by one, beyond that looked up in a set
constexpr std::size_t kMaxFastBytes = 4ULL << 20; // simdjson's tables take twenty times a document

bool starts_at(const std::string& text, std::size_t at, std::string_view word) { return text.compare(at, word.size(), word) == 0; }

// One pass outside strings: bounds the depth and quotes the number names that JSON does not have.
Result<std::string> prepare(std::string text, const std::string& where, ErrorCode code) {
  std::string out;
  std::size_t depth = 0, copied = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
      continue;
    }
    switch (c) {
    case '"': in_string = true; break;
    case '[':
    case '{':
      if (++depth > kMaxJsonDepth) return fail(code, fmt::format("nests deeper than {} levels at byte {}", kMaxJsonDepth, i), where);
      break;
    case ']':
    case '}': depth -= depth > 0 ? 1 : 0; break;
    case 'N':
    case 'I':
      for (const std::string_view word : {std::string_view("NaN"), std::string_view("Infinity")})
        if (starts_at(text, i, word)) {
          const std::size_t from = i > 0 && text[i - 1] == '-' ? i - 1 : i;
          out.append(text, copied, from - copied).append("\"").append(text, from, i + word.size() - from).append("\"");
          i += word.size() - 1;
          copied = i + 1;
        }
      break;
    default: break;
    }
  }
  if (copied == 0) return text;
  out.append(text, copied);
  return out;
}

// Builds the document from the parser's events. An object's keys are compared one by one while they are few and looked up in a
// set beyond that: the library's own builder compares every key with every other.
class Builder {
public:
  Json take() { return std::move(root_); }
  const std::string& duplicate() const { return duplicate_; }
  const std::string& error() const { return error_; }

  // What the parser calls; false stops it.
  bool null() { return value(nullptr); }
  bool boolean(bool b) { return value(b); }
  bool number_integer(Json::number_integer_t n) { return value(n); }
  bool number_unsigned(Json::number_unsigned_t n) { return value(n); }
  bool number_float(Json::number_float_t n, const std::string&) { return value(n); }
  bool string(std::string& text) { return value(std::move(text)); }
  bool binary(Json::binary_t&) { return false; } // JSON has none
  bool start_object(std::size_t) { return start(Json::object()); }
  bool start_array(std::size_t) { return start(Json::array()); }
  bool end_object() { return end(); }
  bool end_array() { return end(); }
  bool key(std::string& name) {
    Open& open = open_.back();
    auto& members = open.node->get_ref<Json::object_t&>();
    if (members.size() < kFewKeys) {
      for (const auto& [known, unused] : members)
        if (known == name) return twice(name);
    } else {
      if (open.keys.empty())
        for (const auto& [known, unused] : members) open.keys.insert(known);
      if (!open.keys.insert(name).second) return twice(name);
    }
    members.emplace_back(std::move(name), Json());
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& e) {
    error_ = e.what();
    if (const std::size_t at = error_.find("] "); at != std::string::npos) error_.erase(0, at + 2);
    return false;
  }

private:
  struct Open {
    Json* node = nullptr; // stays where it is: what holds it does not grow until it is closed
    std::unordered_set<std::string> keys;
  };

  template <class Value>
  bool value(Value&& v) {
    place() = std::forward<Value>(v);
    return true;
  }
  Json& place() {
    if (open_.empty()) return root_;
    Json& node = *open_.back().node;
    if (node.is_object()) return node.get_ref<Json::object_t&>().back().second;
    return node.emplace_back();
  }
  bool start(Json&& empty) {
    Json& node = place();
    node = std::move(empty);
    open_.push_back({&node, {}});
    return true;
  }
  bool end() {
    open_.pop_back();
    return true;
  }
  bool twice(const std::string& name) {
    duplicate_ = name;
    return false;
  }

  Json root_;
  std::vector<Open> open_;
  std::string duplicate_, error_;
};

// Turns what simdjson has read into values; room for an object's members is taken at once, since each time it grows
// the library copies them. False: a key is there twice.
bool convert(const simdjson::dom::element& from, Json& to) {
  using Type = simdjson::dom::element_type;
  switch (from.type()) {
  case Type::ARRAY: {
    const simdjson::dom::array list = from.get_array().value_unsafe();
    to = Json::array();
    auto& items = to.get_ref<Json::array_t&>();
    items.reserve(list.size());
    for (const simdjson::dom::element item : list)
      if (!convert(item, items.emplace_back())) return false;
    return true;
  }
  case Type::OBJECT: {
    const simdjson::dom::object object = from.get_object().value_unsafe();
    to = Json::object();
    auto& members = to.get_ref<Json::object_t&>();
    members.reserve(object.size());
    std::unordered_set<std::string_view> keys;
    const bool few = object.size() <= kFewKeys;
    for (const auto& [key, value] : object) {
      if (few) {
        for (const auto& [known, unused] : members)
          if (known == key) return false;
      } else if (!keys.insert(key).second) {
        return false;
      }
      members.emplace_back(std::string(key), Json());
      if (!convert(value, members.back().second)) return false;
    }
    return true;
  }
  case Type::INT64: {
    const std::int64_t number = from.get_int64().value_unsafe();
    if (number < 0) to = number;
    else to = static_cast<std::uint64_t>(number);
    return true;
  }
  case Type::UINT64: to = from.get_uint64().value_unsafe(); return true;
  case Type::DOUBLE: to = from.get_double().value_unsafe(); return true;
  case Type::STRING: to = std::string(from.get_string().value_unsafe()); return true;
  case Type::BOOL: to = from.get_bool().value_unsafe(); return true;
  case Type::NULL_VALUE: return true;
  }
  return false;
}

// The document where it is plain JSON; nothing where anything is unusual, which the parser with better messages judges.
std::optional<Json> parse_fast(const std::string& text) {
  if (text.size() > kMaxFastBytes) return std::nullopt;
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  Json out;
  if (parser.allocate(text.size(), kMaxJsonDepth) != simdjson::SUCCESS || parser.parse(text).get(root) != simdjson::SUCCESS ||
      !convert(root, out))
    return std::nullopt;
  return out;
}

std::string_view token_of(std::string_view& pointer, std::string& scratch) {
  pointer.remove_prefix(1);
  const std::size_t end = pointer.find('/');
  std::string_view token = pointer.substr(0, end);
  pointer = end == std::string_view::npos ? std::string_view() : pointer.substr(end);
  if (token.find('~') == std::string_view::npos) return token;
  scratch.clear();
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size()) scratch += token[++i] == '1' ? '/' : '~';
    else scratch += token[i];
  }
  return scratch;
}

const Json* child_of(const Json& node, std::string_view token) {
  if (node.is_object()) {
    for (auto it = node.begin(); it != node.end(); ++it)
      if (it.key() == token) return &*it;
    return nullptr;
  }
  if (!node.is_array() || token.empty() || token.size() > 9 || (token.size() > 1 && token.front() == '0')) return nullptr;
  std::size_t index = 0;
  for (const char c : token) {
    if (c < '0' || c > '9') return nullptr;
    index = index * 10 + static_cast<std::size_t>(c - '0');
  }
  return index < node.size() ? &node[index] : nullptr;
}

} // namespace

Result<Json> parse_json(std::string text, const std::string& where, ErrorCode code) {
  if (auto plain = parse_fast(text)) return std::move(*plain);
  PLIMSOLL_ASSIGN(const std::string prepared, prepare(std::move(text), where, code));
  Builder builder;
  if (Json::sax_parse(prepared, &builder)) return builder.take();
  if (!builder.duplicate().empty())
    return fail(code, fmt::format("the key '{}' appears twice in one object", builder.duplicate().substr(0, 100)), where);
  return fail(code, fmt::format("is not valid JSON: {}", builder.error().substr(0, 240)), where);
}

struct LazyJson::Made {
  std::once_flag once;
  std::function<Json()> make; // until it is made
  Json value;
};

LazyJson::LazyJson(std::function<Json()> make) : made_(std::make_shared<Made>()) { made_->make = std::move(make); }

const Json& LazyJson::get() const {
  std::call_once(made_->once, [this] { made_->value = std::exchange(made_->make, nullptr)(); });
  return made_->value;
}

std::optional<JsonApart> parse_apart(const std::string& text, std::string_view member) {
  const auto parser = std::make_shared<simdjson::dom::parser>();
  simdjson::dom::object root;
  if (text.size() > kMaxFastBytes || parser->allocate(text.size(), kMaxJsonDepth) != simdjson::SUCCESS ||
      parser->parse(text).get(root) != simdjson::SUCCESS)
    return std::nullopt;
  JsonApart out;
  out.rest = Json::object();
  auto& rest = out.rest.get_ref<Json::object_t&>();
  rest.reserve(root.size());
  for (const auto& [key, value] : root) {
    simdjson::dom::object apart;
    if (key != member) {
      if (std::any_of(rest.begin(), rest.end(), [&](const auto& known) { return known.first == key; })) return std::nullopt;
      rest.emplace_back(std::string(key), Json());
      if (!convert(value, rest.back().second)) return std::nullopt;
      continue;
    }
    if (!out.members.empty() || value.get(apart) != simdjson::SUCCESS) return std::nullopt;
    for (const auto& [name, object] : apart) {
      if (!object.is_object()) return std::nullopt;
      out.members.emplace_back(std::string(name), LazyJson([parser, object = object] {
                                 Json value;
                                 return convert(object, value) ? value : Json::object();
                               }));
    }
  }
  return out;
}

const Json* find_pointer(const Json& root, std::string_view pointer) {
  const Json* node = &root;
  std::string scratch;
  while (!pointer.empty() && node != nullptr) {
    if (pointer.front() != '/') return nullptr;
    const std::string_view token = token_of(pointer, scratch);
    node = child_of(*node, token);
  }
  return node;
}

std::optional<std::uint64_t> as_u64(const Json& value) {
  constexpr std::uint64_t kMax = 0x7fffffffffffffffULL;
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    return number <= kMax ? std::optional(number) : std::nullopt;
  }
  if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    return number >= 0 ? std::optional(static_cast<std::uint64_t>(number)) : std::nullopt;
  }
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (number >= 0 && number < 9.0e18 && std::floor(number) == number) return static_cast<std::uint64_t>(number);
  }
  return std::nullopt;
}

} // namespace plimsoll
