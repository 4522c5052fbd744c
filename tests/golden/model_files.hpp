// Real models: the facts of tests/data, the configurations of the catalogue, the exceptions table, and what the planners of
// this build declare for them.
// Used by the golden tests. Never plans. One thread.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "model/declared.hpp"
#include "plimsoll/host.hpp"

namespace plimsoll::testing {

// Names of tests/data/models/*.json and of core/catalogue/models/*.json without the suffix, sorted.
std::vector<std::string> model_names();
std::vector<std::string> catalogue_names();
// Those of model_names() whose file states one of these facts. A test of a fact runs for these alone.
std::vector<std::string> models_that_state(std::initializer_list<const char*> facts);

// One file of tests/data, with the catalogue's configuration where it has none of its own: see tests/data/README.md. Fails
// the test and returns null where it cannot be read.
Json read_model_file(const std::string& name);
Json read_catalogue_file(const std::string& name);
// The configuration of any name of the catalogue, "org/name", as an object with `config` and perhaps `hf_quant_config`.
Json read_named_config(const std::string& name);

struct Exception {
  std::int64_t parameters = 0; // declared - published
  std::string reason;
};
const std::map<std::string, Exception>& exceptions();

// What the planners declare for a model file; `kept` holds the formats that the classes point to.
struct DeclaredModel {
  std::shared_ptr<const void> kept;
  Declared declared;
  std::vector<Warning> warnings;
};
Result<DeclaredModel> declare_model(const Json& file);

// "meta-llama__Llama-2-13b-hf" as a test's name.
std::string test_name(const ::testing::TestParamInfo<std::string>& info);

} // namespace plimsoll::testing
