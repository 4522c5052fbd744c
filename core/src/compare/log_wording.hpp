// The words in which engines print what a plan predicts: one document of the catalogue's logs/ per engine, as patterns.
// A pattern is literal text with {fields}: no regular expressions, so that no log can make the matcher run away.
// Threads: immutable after reading.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/compare.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Which of several printed values counts.
enum class Take { kFirst, kLast, kLeast, kMost, kSum };

class LinePattern {
public:
  struct Field {
    std::string name;
    double scale = 0; // 0: text; otherwise a number, in units of `scale`
  };
  struct Capture {
    const Field* field = nullptr;
    std::string_view text;
  };
  struct Match {
    std::vector<Capture> captures;
    std::size_t begin = 0; // of the pattern in the line
  };

  // "took {weights_bytes:GiB} GiB": a blank matches any number of blanks, {name} a word (up to the next character of the
  // pattern where that is a quote), {name:UNIT} a number, {*} anything up to the text that follows it.
  static Result<LinePattern> parse(std::string_view text, const std::string& where);
  // The same pattern only where a name begins: "size=" not in "tp_size=".
  void begin_at_name() { at_name_ = true; }
  // The longest word that stands in every line that matches.
  std::string_view key() const;
  bool has_field(std::string_view name) const;
  // The fields of the first place where the line matches.
  std::optional<Match> match(std::string_view line) const;

private:
  struct Part {
    std::string literal; // empty: a field
    Field field;
    bool anything = false;
  };
  bool match_at(std::string_view line, std::size_t at, std::vector<Capture>& out) const;
  std::vector<Part> parts_;
  bool at_name_ = false;
};

// What a line says beside its figures.
enum class Says {
  kNothing,
  kArguments, // all arguments that are no defaults stand here
  kStarted,   // the engine serves: what fails later is no start
  kRetried,   // what failed before was tried again in another way
  kRefused    // the engine does not start
};

struct LineWording {
  LinePattern pattern;
  std::string inside; // must stand in the same line; empty: nothing must
  std::string part;   // the pattern stands in the brackets behind this text; empty: outside all such brackets
  Take take = Take::kFirst;
  Says says = Says::kNothing;
  StartRefusal refusal = StartRefusal::kNone;
  bool shared = false; // other engines print it too: it does not tell whose log it is

  // The longest word that stands in every line that matches and has `inside`.
  std::string_view key() const;
};

struct Wording {
  std::string engine;
  // Releases to try where a log prints none: one for each set of rules, the newest first.
  std::vector<std::string> releases;
  // Engine names of records beside the engine's own -> the releases to try where the record names none; empty: the above.
  std::map<std::string, std::vector<std::string>> also_named;
  std::string release_prefix;     // put before a release that begins with a digit
  std::uint64_t spare_pages = 0;  // pages that the printed size of the cache holds beyond the printed tokens
  std::uint64_t spare_slots = 0;  // recurrent states that are allocated beyond the printed slots
  bool weights_as_stored = false; // loads what the checkpoint stores: a configuration alone does not tell
  std::vector<LineWording> lines;
  bool has_fraction = false;                                        // the engine has a fraction of the memory, and prints it
  std::vector<std::string> parts;                                   // texts whose brackets are read apart
  std::map<std::string, std::map<std::string, std::string>> values; // of a setting -> as an option spells it; "": not set
};

// One wording for each file of the catalogue's logs/, by name.
Result<std::vector<Wording>> read_wordings(const std::string& catalogue_path);
// records/model_keys.yaml of the catalogue: keys of records -> names of models.
Result<std::map<std::string, std::string>> read_model_keys(const std::string& catalogue_path);

} // namespace plimsoll
