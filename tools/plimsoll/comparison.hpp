// Holds a plan against what an engine printed: makes the plans that the start's settings call for and compares line by line.
// Called by compare_command.cpp. Keeps models that it has loaded; writes nothing. Threads: one.
//
// What follows from the KV memory (blocks, tokens, requests, longest request) is predicted from the printed memory, so that the
// formulas are tested alone: once from half a unit of the last printed place below and once from half a unit above. Memory itself
// is predicted from the device, the fraction and the model.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine_start.hpp"
#include "log_wording.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/options.hpp"

namespace plimsoll::cli {

struct ComparedLine {
  std::string figure;
  Judge judge = Judge::kShown;
  Printed printed;
  double predicted = 0;
  std::optional<bool> within; // empty: shown, not judged
  bool outlier = false;       // beyond, and known to be
  std::string note;

  double ratio() const { return predicted / printed.value; }
};

enum class Outcome { kWithin, kBeyond, kSkipped, kError };

struct Comparison {
  std::string place, id, engine, release, model;
  std::vector<ComparedLine> lines; // in the order of kFigures
  Outcome outcome = Outcome::kWithin;
  std::string note; // why it was skipped, or what was assumed
  std::optional<Error> error;
};

struct CompareOptions {
  std::string model;                             // instead of the printed one
  std::vector<OptionValue> options;              // of the command line: they win
  std::map<std::string, std::string> model_keys; // of records -> names of the catalogue
  std::optional<double> tolerance;               // instead of the usual ones, and for figures outside their rounding too
};

class Comparer {
public:
  Comparer(const Context& context, const std::vector<Wording>& wordings, CompareOptions options)
      : context_(context), wordings_(wordings), options_(std::move(options)) {}
  Comparison compare(const EngineStart& start);

private:
  Result<void> run(const EngineStart& start, Comparison& out);
  Result<Model> load(const std::string& name);

  const Context& context_;
  const std::vector<Wording>& wordings_;
  CompareOptions options_;
  std::map<std::string, Model> models_;
};

} // namespace plimsoll::cli
