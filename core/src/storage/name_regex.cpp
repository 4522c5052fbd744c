// Compiles a pattern to a Thompson automaton and steps it over a name. Bounded in depth, program size and time.
// Never allocates in proportion to the name. Threads: see header.
#include "storage/name_regex.hpp"

#include <array>
#include <optional>

#include <fmt/format.h>

namespace plimsoll {
namespace {

using CharSet = std::bitset<256>;

constexpr int kMaxDepth = 32;
constexpr int kMaxRepeat = 256;
constexpr int kUnlimited = -1;

std::size_t index_of(char c) { return static_cast<unsigned char>(c); }

void add_range(CharSet& set, unsigned char from, unsigned char to) {
  for (unsigned c = from; c <= to; ++c) set.set(c);
}

// \d \w \s and their negations; empty for other letters.
std::optional<CharSet> escape_class(char c) {
  CharSet set;
  switch (c | 0x20) {
  case 'd': add_range(set, '0', '9'); break;
  case 'w':
    add_range(set, '0', '9');
    add_range(set, 'a', 'z');
    add_range(set, 'A', 'Z');
    set.set(index_of('_'));
    break;
  case 's':
    for (const char space : {' ', '\t', '\n', '\r', '\f', '\v'}) set.set(index_of(space));
    break;
  default: return std::nullopt;
  }
  return c >= 'A' && c <= 'Z' ? ~set : set;
}

bool is_letter_or_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

} // namespace

// Parses to a tree, then writes the program; a counted repetition writes its operand several times.
class NameRegexCompiler {
public:
  NameRegexCompiler(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {}

  Result<NameRegex> run() {
    if (pattern_.size() > NameRegex::kMaxPatternBytes) return error("is too long");
    NameRegex regex;
    PLIMSOLL_TRY(take_look_aheads(regex));
    PLIMSOLL_ASSIGN(const int root, alternatives(0));
    if (at_ < pattern_.size()) return error("has an unmatched )");
    if (!write(root) || !step({NameRegex::Op::kMatch})) return error("expands to too many steps");
    regex.steps_ = std::move(steps_);
    regex.sets_ = std::move(sets_);
    return regex;
  }

private:
  enum class Kind : std::uint8_t { kEmpty, kSet, kBegin, kEnd, kCat, kAlt, kRepeat };
  struct Node {
    Kind kind = Kind::kEmpty;
    int a = 0, b = 0; // kCat, kAlt: operands; kRepeat: operand a; kSet: set a
    int least = 0, most = 0;
  };

  tl::unexpected<Error> error(std::string_view what) const {
    return fail(ErrorCode::kBadConfig,
                fmt::format("the pattern \"{}\" {} at character {}; use literals, . [] \\d \\w * + ? {{m,n}} | () ^ $",
                            pattern_.substr(0, 80), what, at_ + 1),
                where_);
  }

  bool more() const { return at_ < pattern_.size(); }
  bool take(std::string_view text) {
    if (!pattern_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }
  int node(Node n) {
    nodes_.push_back(n);
    return static_cast<int>(nodes_.size()) - 1;
  }
  int set_node(const CharSet& set) {
    sets_.push_back(set);
    return node({Kind::kSet, static_cast<int>(sets_.size()) - 1});
  }

  // "(?!x)y" and "(?=x)y": conditions on the start, each a pattern of its own.
  Result<void> take_look_aheads(NameRegex& regex) {
    while (true) {
      const std::size_t start = at_;
      take("^");
      const bool negative = take("(?!");
      if (!negative && !take("(?=")) {
        at_ = start;
        return {};
      }
      if (regex.looks_.size() == 4) return error("has too many look-aheads");
      const std::size_t inner = at_;
      int depth = 1;
      for (; more() && depth > 0; ++at_) {
        if (pattern_[at_] == '\\') ++at_;
        else if (pattern_[at_] == '(') ++depth;
        else if (pattern_[at_] == ')') --depth;
      }
      if (depth > 0) return error("has an unmatched (");
      const std::string_view body = pattern_.substr(inner, at_ - 1 - inner);
      if (body.starts_with("(?!") || body.starts_with("(?=") || body.starts_with("^(?")) return error("nests look-aheads");
      PLIMSOLL_ASSIGN(NameRegex condition, NameRegex::compile(body, where_));
      regex.looks_.push_back({negative, {}});
      regex.looks_.back().inner.push_back(std::move(condition));
    }
  }

  Result<int> alternatives(int depth) {
    if (depth > kMaxDepth) return error("nests too deeply");
    PLIMSOLL_ASSIGN(int left, sequence(depth));
    while (take("|")) {
      PLIMSOLL_ASSIGN(const int right, sequence(depth));
      left = node({Kind::kAlt, left, right});
    }
    return left;
  }

  Result<int> sequence(int depth) {
    int left = node({});
    while (more() && pattern_[at_] != '|' && pattern_[at_] != ')') {
      PLIMSOLL_ASSIGN(const int right, repeated(depth));
      left = node({Kind::kCat, left, right});
    }
    return left;
  }

  Result<int> repeated(int depth) {
    PLIMSOLL_ASSIGN(int operand, atom(depth));
    for (int layers = 0; more(); ++layers) {
      int least = 0, most = kUnlimited;
      if (take("+")) least = 1;
      else if (take("?")) most = 1;
      else if (pattern_[at_] == '{') {
        ++at_;
        if (!take_number(least)) return error("has a bad count");
        most = least;
        if (take(",") && (most = kUnlimited, !pattern_.substr(at_).starts_with("}")) && !take_number(most)) return error("has a bad count");
        if (!take("}") || (most != kUnlimited && most < least)) return error("has a bad count");
      } else if (!take("*")) break;
      if (layers > 1) return error("repeats a repetition");
      if (layers == 1) {
        if (least != 0 || most != 1) return error("repeats a repetition");
        continue; // "*?": the lazy form matches the same names
      }
      operand = node({Kind::kRepeat, operand, 0, least, most});
    }
    return operand;
  }

  bool take_number(int& value) {
    const std::size_t start = at_;
    for (value = 0; more() && pattern_[at_] >= '0' && pattern_[at_] <= '9'; ++at_)
      if ((value = value * 10 + (pattern_[at_] - '0')) > kMaxRepeat) return false;
    return at_ > start;
  }

  Result<int> atom(int depth) {
    const char c = pattern_[at_++];
    CharSet set;
    switch (c) {
    case '.': return set_node(~set);
    case '^': return node({Kind::kBegin});
    case '$': return node({Kind::kEnd});
    case '[': return char_class();
    case '(': {
      if (take("?:")) {
      } else if (more() && pattern_[at_] == '?') return error("uses a group that is not supported");
      PLIMSOLL_ASSIGN(const int inner, alternatives(depth + 1));
      if (!take(")")) return error("has an unmatched (");
      return inner;
    }
    case '*':
    case '+':
    case '?':
    case '{': return error("repeats nothing");
    case '\\': {
      if (!more()) return error("ends in a backslash");
      const char escaped = pattern_[at_++];
      if (const auto found = escape_class(escaped)) return set_node(*found);
      if (escaped == 'Z') return node({Kind::kEnd});
      if (escaped == 'A') return node({Kind::kBegin});
      if (is_letter_or_digit(escaped)) return error("uses an escape that is not supported");
      set.set(index_of(escaped));
      return set_node(set);
    }
    default: break;
    }
    set.set(index_of(c));
    return set_node(set);
  }

  Result<int> char_class() {
    CharSet set;
    const bool negated = take("^");
    for (bool first = true;; first = false) {
      if (!more()) return error("has an unmatched [");
      char c = pattern_[at_++];
      if (c == ']' && !first) break;
      if (c == '\\') {
        if (!more()) return error("ends in a backslash");
        c = pattern_[at_++];
        if (const auto found = escape_class(c)) {
          set |= *found;
          continue;
        }
        if (is_letter_or_digit(c)) return error("uses an escape that is not supported");
      }
      if (at_ + 1 < pattern_.size() && pattern_[at_] == '-' && pattern_[at_ + 1] != ']') {
        const char last = pattern_[at_ + 1];
        at_ += 2;
        if (index_of(last) < index_of(c) || last == '\\') return error("has a bad range");
        add_range(set, static_cast<unsigned char>(c), static_cast<unsigned char>(last));
      } else set.set(index_of(c));
    }
    return set_node(negated ? ~set : set);
  }

  bool step(NameRegex::Step s) {
    if (steps_.size() >= NameRegex::kMaxSteps) return false;
    steps_.push_back(s);
    return true;
  }
  std::uint16_t here() const { return static_cast<std::uint16_t>(steps_.size()); }

  // Recursion is bounded by the pattern's length, work by the budget: "(){9}" writes nothing nine times.
  bool write(int index) {
    if (--write_budget_ < 0) return false;
    const Node n = nodes_[static_cast<std::size_t>(index)];
    switch (n.kind) {
    case Kind::kEmpty: return true;
    case Kind::kBegin: return step({NameRegex::Op::kBegin});
    case Kind::kEnd: return step({NameRegex::Op::kEnd});
    case Kind::kSet: return step({NameRegex::Op::kSet, static_cast<std::uint16_t>(n.a)});
    case Kind::kCat: return write(n.a) && write(n.b);
    case Kind::kAlt: {
      const std::size_t split = steps_.size();
      if (!step({NameRegex::Op::kSplit, static_cast<std::uint16_t>(split + 1)}) || !write(n.a)) return false;
      const std::size_t jump = steps_.size();
      if (!step({NameRegex::Op::kJump})) return false;
      steps_[split].y = here();
      if (!write(n.b)) return false;
      steps_[jump].x = here();
      return true;
    }
    case Kind::kRepeat: return write_repeat(n);
    }
    return false;
  }

  bool write_repeat(const Node& n) {
    for (int i = 0; i < n.least; ++i)
      if (!write(n.a)) return false;
    if (n.most == kUnlimited) {
      const std::size_t split = steps_.size();
      if (!step({NameRegex::Op::kSplit, static_cast<std::uint16_t>(split + 1)}) || !write(n.a)) return false;
      if (!step({NameRegex::Op::kJump, static_cast<std::uint16_t>(split)})) return false;
      steps_[split].y = here();
      return true;
    }
    for (int i = n.least; i < n.most; ++i) {
      const std::size_t split = steps_.size();
      if (!step({NameRegex::Op::kSplit, static_cast<std::uint16_t>(split + 1)}) || !write(n.a)) return false;
      steps_[split].y = here();
    }
    return true;
  }

  std::string_view pattern_;
  const std::string& where_;
  std::size_t at_ = 0;
  int write_budget_ = 20000;
  std::vector<Node> nodes_;
  std::vector<CharSet> sets_;
  std::vector<NameRegex::Step> steps_;
};

Result<NameRegex> NameRegex::compile(std::string_view pattern, const std::string& where) { return NameRegexCompiler(pattern, where).run(); }

std::size_t NameRegex::steps() const {
  std::size_t sum = steps_.size();
  for (const LookAhead& look : looks_) sum += look.inner.front().steps();
  return sum;
}

bool NameRegex::match_start(std::string_view name) const {
  for (const LookAhead& look : looks_)
    if (look.inner.front().match_start(name) == look.negative) return false;

  std::array<std::uint16_t, kMaxSteps> lists[2]; // steps of kind kSet
  std::array<std::uint16_t, kMaxSteps>*active = &lists[0], *next = &lists[1];
  std::array<std::uint16_t, 2 * kMaxSteps> stack; // each step pushes at most two others, once
  std::size_t active_count = 0;
  std::bitset<kMaxSteps> seen;
  bool matched = false;
  // Follows what consumes nothing, from `start` at `position`.
  const auto follow = [&](std::uint16_t start, std::size_t position, std::array<std::uint16_t, kMaxSteps>& list, std::size_t& count) {
    std::size_t depth = 0;
    stack[depth++] = start;
    while (depth > 0) {
      const std::uint16_t at = stack[--depth];
      if (seen[at]) continue;
      seen.set(at);
      const Step& s = steps_[at];
      switch (s.op) {
      case Op::kSet: list[count++] = at; break;
      case Op::kSplit:
        stack[depth++] = s.x;
        stack[depth++] = s.y;
        break;
      case Op::kJump: stack[depth++] = s.x; break;
      case Op::kBegin:
        if (position == 0) stack[depth++] = static_cast<std::uint16_t>(at + 1);
        break;
      case Op::kEnd:
        if (position == name.size()) stack[depth++] = static_cast<std::uint16_t>(at + 1);
        break;
      case Op::kMatch: matched = true; return;
      }
    }
  };

  follow(0, 0, *active, active_count);
  for (std::size_t i = 0; i < name.size() && !matched && active_count > 0; ++i) {
    seen.reset();
    std::size_t next_count = 0;
    for (std::size_t j = 0; j < active_count && !matched; ++j) {
      const Step& s = steps_[(*active)[j]];
      if (sets_[s.x][index_of(name[i])]) follow(static_cast<std::uint16_t>((*active)[j] + 1), i + 1, *next, next_count);
    }
    std::swap(active, next);
    active_count = next_count;
  }
  return matched;
}

} // namespace plimsoll
