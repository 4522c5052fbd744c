// One function per family of hybrid models: reads the configuration, fills a Model. find_names tells them by the name that a
// model_type has in models.json. Any thread.
#pragma once

#include "layers.hpp"
#include "mixers.hpp"
#include "model.hpp"

namespace hybrid {

using Fill = void (*)(const Config&, Model&);

void fill_qwen(const Config& config, Model& model);     // Qwen3-Next, Qwen3.5, Qwen3.6
void fill_nemotron(const Config& config, Model& model); // Nemotron-H, Nemotron-3
void fill_mamba(const Config& config, Model& model);
void fill_mamba2(const Config& config, Model& model);
void fill_jamba(const Config& config, Model& model);
void fill_bamba(const Config& config, Model& model);
void fill_falcon_h1(const Config& config, Model& model);
void fill_granite(const Config& config, Model& model);
void fill_zamba2(const Config& config, Model& model);
void fill_lfm2(const Config& config, Model& model); // with experts too
void fill_recurrent_gemma(const Config& config, Model& model);
void fill_minimax(const Config& config, Model& model);
void fill_olmo_hybrid(const Config& config, Model& model);
void fill_ling(const Config& config, Model& model); // Ling-2.5, Ling-3.0
void fill_plamo2(const Config& config, Model& model);
void fill_rwkv7(const Config& config, Model& model);
void fill_hrm(const Config& config, Model& model);
void fill_kimi(const Config& config, Model& model); // Kimi-Linear, the text of Kimi-K3

// Mamba-2 under the keys that start with mamba_.
Mamba2 read_mamba2(const Config& config, std::uint64_t hidden);

// What a Mamba-2 computes: steps within time_step_limit, the norm's epsilon under this key. None: with another activation than silu, which
// nobody publishes.
std::optional<Mamba2Pass> read_mamba2_pass(const Config& config, const char* epsilon, const char* activation = "/hidden_act");

// E_CONFIG names what there is.
Fill find_names(std::string_view names);

} // namespace hybrid
