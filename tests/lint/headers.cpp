#include "lint/headers.hpp"

#include <set>
#include <string_view>

namespace plimsoll::lint {
namespace {

struct Exception {
  std::string_view source, header; // `header` declares what `source` defines
};
constexpr Exception kExceptions[] = {
    {"core/src/capi/host_c.cpp", "core/include/plimsoll/host.h"},               // C++ and C hosts: two headers of one name
    {"core/src/host/context.cpp", "core/include/plimsoll/host.hpp"},            // the class behind the public header
    {"core/src/device/cuda.cpp", "core/src/device/query.hpp"},                  // one interface, two machines
    {"core/src/device/cuda_none.cpp", "core/src/device/query.hpp"},             //
    {"core/src/request/options_json.cpp", "core/include/plimsoll/options.hpp"}, // three readers of one table of options
    {"core/src/request/pipeline.cpp", "core/include/plimsoll/options.hpp"},     //
    {"core/src/request/demand_text.cpp", "core/include/plimsoll/fit.hpp"},      // what people write of a fit
    {"core/src/request/prices.cpp", "core/include/plimsoll/fit.hpp"},           //
    {"core/src/backend/cpu_attend.cpp", "core/src/backend/cpu_ops.hpp"},        // one table of ops, a file each
    {"core/src/backend/cpu_attend_whole.cpp", "core/src/backend/cpu_ops.hpp"},  //
    {"core/src/backend/cpu_experts.cpp", "core/src/backend/cpu_ops.hpp"},       //
    {"core/src/backend/cpu_images.cpp", "core/src/backend/cpu_ops.hpp"},        //
    {"core/src/backend/cpu_latent.cpp", "core/src/backend/cpu_ops.hpp"},        //
    {"core/src/backend/cpu_norm.cpp", "core/src/backend/cpu_ops.hpp"},          //
    {"core/src/backend/cpu_rope.cpp", "core/src/backend/cpu_ops.hpp"},          //
    {"core/src/backend/cpu_route.cpp", "core/src/backend/cpu_ops.hpp"},         //
    {"core/src/backend/cpu_rows.cpp", "core/src/backend/cpu_ops.hpp"},          //
    {"core/src/backend/cpu_conv.cpp", "core/src/backend/cpu_ops.hpp"},          //
    {"core/src/backend/cpu_delta.cpp", "core/src/backend/cpu_ops.hpp"},         //
    {"core/src/backend/cpu_scan.cpp", "core/src/backend/cpu_ops.hpp"},          //
    {"core/src/backend/cpu_attend_whole.cpp", "core/src/backend/cpu_ops.hpp"},  //
    {"core/src/backend/cpu_sequences.cpp", "core/src/backend/cpu_ops.hpp"},     //
    {"core/src/backend/host_memory.cpp", "core/include/plimsoll/arena.hpp"},    //
    {"core/src/check/report.cpp", "core/include/plimsoll/check.hpp"},           // its documents
    {"core/src/check/manifest_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/check/load_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/check/abi_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/check/life_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/check/error_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/check/determinism_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/check/law_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/check/composition_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/check/process_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/check/pipeline_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/check/fuzz_cases.cpp", "core/src/check/cases.hpp"},
    {"core/src/kv_cache/block_pool.cpp", "core/include/plimsoll/kv_cache.hpp"},          // the classes behind the public header
    {"core/src/kv_cache/paged_kv_manager.cpp", "core/include/plimsoll/kv_cache.hpp"},    //
    {"core/src/kv_cache/allocation.cpp", "core/src/kv_cache/manager.hpp"},               // members of one class
    {"core/src/kv_cache/audit.cpp", "core/src/kv_cache/manager.hpp"},                    //
    {"core/src/kv_cache/claims.cpp", "core/src/kv_cache/manager.hpp"},                   //
    {"core/src/kv_cache/steps.cpp", "core/src/kv_cache/manager.hpp"},                    //
    {"core/src/runtime/estimates.cpp", "core/include/plimsoll/pipeline_model.hpp"},      // members of one class
    {"core/src/runtime/signal_buffers.cpp", "core/include/plimsoll/pipeline_model.hpp"}, //
    {"core/src/runtime/replica_plan.cpp", "core/include/plimsoll/pipeline_model.hpp"},   //
    {"core/src/mpi/mpi_job.cpp", "core/src/runtime/shared_job.hpp"},                     // fills it, in a library of its own
    {"core/src/runtime/new_context.cpp", "core/src/runtime/pipeline.hpp"},               //
    {"core/src/runtime/pipeline_step.cpp", "core/src/runtime/pipeline.hpp"},             //
    {"core/src/runtime_capi/kv_c.cpp", "core/include/plimsoll/runtime.h"},               // C and C++ hosts: two headers of one name
    {"core/src/runtime_capi/generator_c.cpp", "core/include/plimsoll/runtime.h"},        //
    {"core/src/runtime_capi/embedder_c.cpp", "core/include/plimsoll/runtime.h"},         //
    {"core/src/runtime/embedding_json.cpp", "core/include/plimsoll/embedding.hpp"},      //
    {"core/src/tokenizer/load.cpp", "core/include/plimsoll/tokenizer.hpp"},              //
    {"core/src/runtime/verify_run_json.cpp", "core/include/plimsoll/verify_run.hpp"},    // its document
};

} // namespace

std::vector<std::string> check_headers(const std::vector<std::string>& project) {
  const std::set<std::string> files(project.begin(), project.end());
  std::set<std::string> excepted;
  std::vector<std::string> found;
  for (const auto& [source, header] : kExceptions) {
    excepted.emplace(source);
    if (files.contains(std::string(source)) != files.contains(std::string(header)))
      found.push_back(std::string(source) + ": is an exception for " + std::string(header) +
                      " in tests/lint/headers.cpp, and one of them is gone");
  }
  for (const std::string& file : project) {
    if (!file.starts_with("core/src/") || !file.ends_with(".cpp") || excepted.contains(file)) continue;
    const std::string stem = file.substr(0, file.size() - 4), name = stem.substr(stem.rfind('/') + 1);
    if (!files.contains(stem + ".hpp") && !files.contains("core/include/plimsoll/" + name + ".hpp"))
      found.push_back(file + ": has no header of its name");
  }
  return found;
}

} // namespace plimsoll::lint
