// What a plan becomes: an engine with its arguments, each with a reason, and what it runs on. Filled by host/emit.cpp; written by the files
// beside this one as a command, or as Kubernetes, Compose and Ray take it. Threads: plain values, pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flags/flag_table.hpp"
#include "flags/write_flags.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct Deployment {
  const FlagTable* table = nullptr;
  std::string release;              // of the engine
  std::vector<std::string> summary; // lines for people: what, on what, how much is left
  std::string model;                // a path or org/name
  std::string model_folder;         // of a model on this machine, absolute; empty: org/name
  WrittenFlags written;
  std::uint32_t nodes = 1, devices_per_node = 1, replicas = 1; // replicas: data parallel ones
  std::uint64_t ranks_per_replica = 1;
  std::string vendor;                           // of the devices
  std::string kubernetes_card, ray_accelerator; // empty: not known, or several kinds
  std::uint64_t host_bytes = 0;                 // of weights and the like that stay in host memory
};

// The engine's own words: the command, the model, its flags. `inside`: what an image is given, without what it runs by itself.
std::vector<WrittenFlag> engine_arguments(const Deployment& deployment);
// The file of settings that are no flags, with a comment each; empty where there are none.
std::string engine_file(const Deployment& deployment);
inline constexpr const char* kEngineFile = "engine.yaml";
// vllm-qwen3-8b: letters, digits and dashes, at most 50.
std::string deployment_name(const Deployment& deployment);
// The image of that release. kBadRequest where none is known for these devices.
Result<std::string> deployment_image(const Deployment& deployment);
// Whether it is one line of printable text, as a comment may be.
std::string comment_text(const std::string& text);

} // namespace plimsoll
