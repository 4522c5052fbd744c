// A model as it would be if an exporter had quantised it (--quantize): the same planners, and weights stored as that exporter stores them.
// Settings come from storage/exporters.hpp, types of GGUF files from storage/gguf_mix.hpp. Reads no tensor; a checkpoint that is there
// says which tensors there are. Threads: any.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "model/loaded_model.hpp"

namespace plimsoll {

// Made once for each method and kept by the model. `gguf_words`: the catalogue's gguf.json. kBadRequest for a method that is not known and
// for a model that is quantised already, unless its weights are fp8 in blocks, as its maker published it, and the method stores less.
// The result's load_warnings say whose files are meant.
Result<std::shared_ptr<const Model::Data>> what_if(const Model::Data& model, const std::string& method, const std::string& gguf_words);

// False for "none": the model as it is.
bool changes_storage(std::string_view method);
// All of them, for messages: "fp8, fp8_block, ..., q4_k_m, ...".
std::string quantize_methods();

} // namespace plimsoll
