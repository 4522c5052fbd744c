// plimsoll run --embed: vectors of texts, from a model that gives vectors. Threads: one, and the BLAS's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plimsoll/command.hpp"
#include "plimsoll/embedding.hpp"

namespace plimsoll::cli {

// As given on the command line.
struct AskedVectors {
  std::vector<std::string> texts; // --embed, may repeat
  std::vector<std::string> ids;   // --embed-ids: "5,9,30", may repeat
  bool any() const { return !texts.empty() || !ids.empty(); }
};

// Plans, loads, embeds, prints. The exit code.
int embed(const CommandLine& line, const AskedVectors& asked, const Task& task, PipelineOptions options);

} // namespace plimsoll::cli
