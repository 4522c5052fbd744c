// Holds a plan against what an engine printed: makes the plans that the start's settings call for and compares line by line.
// Keeps models that it has loaded; writes nothing. Threads: one Comparer a thread.
//
// What follows from the KV memory (blocks, tokens, requests, longest request) is predicted from the printed memory, so that the
// formulas are tested alone: once from half a unit of the last printed place below and once from half a unit above. Memory itself
// is predicted from the device, the fraction and the model.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compare/log_wording.hpp"
#include "plimsoll/compare.hpp"

namespace plimsoll {

class Comparer {
public:
  // `model_keys`: of records -> names of the catalogue.
  Comparer(const Context& context, const std::vector<Wording>& wordings, const std::map<std::string, std::string>& model_keys,
           const CompareRequest& request)
      : context_(context), wordings_(wordings), model_keys_(model_keys), request_(request) {}
  Comparison compare(const EngineStart& start);

private:
  Result<void> run(const EngineStart& start, Comparison& out);
  Result<Model> load(const std::string& name);

  const Context& context_;
  const std::vector<Wording>& wordings_;
  const std::map<std::string, std::string>& model_keys_;
  const CompareRequest& request_;
  std::map<std::string, Model> models_;
};

} // namespace plimsoll
