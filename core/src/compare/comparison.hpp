// Holds a plan against what an engine printed: loads what the start names, tries the rules of each release that it may be of, and sums
// up. Keeps models that it has loaded; writes nothing. Threads: one Comparer a thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "compare/log_wording.hpp"
#include "compare/start_figures.hpp"
#include "plimsoll/compare.hpp"

namespace plimsoll {

class Comparer {
public:
  // `model_keys`: of records -> names of the catalogue.
  Comparer(const Context& context, const std::vector<Wording>& wordings, const std::map<std::string, std::string>& model_keys,
           const CompareRequest& request)
      : context_(context), wordings_(wordings), model_keys_(model_keys), request_(request) {}
  Comparison compare(const EngineStart& start);
  // The plan of a start on the devices that were printed or given, with the weights of the model itself.
  struct Planned {
    Plan plan;
    std::string engine; // NAME[@RELEASE] or a file
    bool memory_known = false;
  };
  Result<Planned> plan(const EngineStart& start);

private:
  // A start as it is compared, and all that it names.
  struct Prepared {
    EngineStart start;
    const Wording* wording = nullptr;
    Model model;
    StartRequest asked;
  };
  Result<Prepared> prepare(const EngineStart& printed, const std::set<std::string>& refused, Comparison& out);
  // The start, and the figures under the release's rules; a setting that cannot be planned is left out and said to be.
  struct Tried {
    Prepared prepared;
    StartFigures figures;
  };
  Result<Tried> attempt(const EngineStart& printed, Comparison& out);
  Result<void> run(const EngineStart& start, Comparison& out);
  Result<StartFigures> best_release(const Prepared& prepared, Comparison& out) const;
  Result<Model> model_of(const EngineStart& start, Comparison& out);
  Result<Model> load(const std::string& name);
  void add_draft(StartRequest& asked);

  const Context& context_;
  const std::vector<Wording>& wordings_;
  const std::map<std::string, std::string>& model_keys_;
  const CompareRequest& request_;
  std::map<std::string, Model> models_;
};

} // namespace plimsoll
