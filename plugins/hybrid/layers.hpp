// Which layers of a hybrid model have which mixer and which FFN, from the keys that the families spell it with. Refuses lists of
// another length than the model has layers. Pure, any thread.
#pragma once

#include "model.hpp"

namespace hybrid {

// The layers whose entry of a list of words is `word`; E_CONFIG where an entry is none of `known`.
std::vector<std::string> words(const Config& config, const char* pointer, std::uint32_t n, std::initializer_list<std::string_view> known);
Layers where(const std::vector<std::string>& kinds, std::initializer_list<std::string_view> kinds_wanted);
Layers without(std::uint32_t n, const Layers& taken);

// Layers i with i % period == offset.
Layers periodic(std::uint32_t n, std::uint64_t period, std::uint64_t offset);

// The layers that a list of numbers names.
Layers numbers(const Config& config, const char* pointer, std::uint32_t n);

// Mixers as Nemotron-H spells them: a letter per layer (M mamba, * attention, - mlp, E experts) or a word.
std::vector<std::string> nemotron_blocks(const Config& config, const char* letters, const char* spelled);

} // namespace hybrid
