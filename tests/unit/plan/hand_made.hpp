// A model, devices, an engine and a request made by hand, without any plugin: what settling and the gates are tested with.
// Nothing of it can be priced by planners. One thread.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "plan/settled.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {

constexpr std::uint64_t kGiB = 1ULL << 30;

class HandMadeInput {
public:
  HandMadeInput() {
    model.info.architecture = "HandForCausalLM";
    model.config = std::make_shared<const Json>(Json::object());
    draft.config = model.config;
    model.dtype = *find_dtype("bfloat16");
    model.declared.facts.n_layers = 8;
    model.declared.facts.max_length = 4096;
    devices = {device("card", 80 * kGiB, 79 * kGiB)};
  }

  Model::Data model, draft;
  bool drafts = false; // with the second model
  std::vector<Device> devices;
  PlanRequest request;
  std::string profile = "{}"; // below the head, as YAML

  static Device device(const std::string& name, std::uint64_t total, std::uint64_t free) {
    Device d;
    d.name = name;
    d.total_bytes = total;
    d.free_bytes = free;
    return d;
  }
  void more_devices(std::size_t n) { devices.assign(n, devices.front()); }

  Result<Settled> settled() {
    const std::string file = folder_ / "own.yaml";
    std::ofstream(file) << "schema: plimsoll.engine/1\nname: own\nversion: \"1.0\"\n" << (profile == "{}" ? "" : profile);
    auto source = ProfileSource::load(PLIMSOLL_SOURCE_DIR "/core/catalogue", file, request.engine_overrides);
    if (!source) return tl::unexpected(source.error());
    engine_ = std::make_unique<ProfileSource>(std::move(*source));
    PlanInput input;
    input.model = &model;
    input.draft = drafts ? &draft : nullptr;
    input.devices = &devices;
    input.engine = engine_.get();
    input.request = &request;
    return settle(input);
  }
  // What is known to settle.
  Settled must_settle() {
    auto out = settled();
    if (!out) ADD_FAILURE() << out.error().where << ": " << out.error().message;
    return out.value_or(Settled{});
  }
  // What is known to be refused.
  Error refused() {
    const auto out = settled();
    if (out) ADD_FAILURE() << "was settled";
    return out ? Error{} : out.error();
  }

private:
  test::TemporaryDirectory folder_;
  std::unique_ptr<ProfileSource> engine_;
};

} // namespace plimsoll
