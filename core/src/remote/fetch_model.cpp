#include "remote/fetch_model.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/printable.hpp"
#include "base/regular_file.hpp"
#include "checkpoint/gguf.hpp"
#include "checkpoint/quoted_name.hpp"
#include "checkpoint/safetensors.hpp"
#include "checkpoint/safetensors_index.hpp"
#include "checkpoint/shard_names.hpp"
#include "remote/head_cache.hpp"
#include "remote/hub.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostWhole = 64ULL << 20, kFirstSafetensors = 128ULL << 10, kFirstGguf = 1ULL << 20,
                        kMostFirstSafetensors = 1ULL << 20;
constexpr std::uint64_t kMostFileBytes = 1ULL << 50;
constexpr std::size_t kMostFiles = 4'096, kMostPages = 100;
constexpr std::uint32_t kMostParts = 1'000;

enum class Part { kListing, kWhole, kIndex, kSafetensors, kGguf };

// One file, from the first question to its place in the cache.
struct File {
  Part part = Part::kWhole;
  std::string name = {}; // in the model's folder
  std::string url = {};
  bool may_be_absent = false;
  std::optional<std::uint64_t> listed_bytes = {};
  std::optional<Head> known = {}, head = {};
  std::string body = {}, etag = {}; // so far
};

std::uint64_t little_endian_u64(std::string_view bytes) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 8; ++i) value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return value;
}

// How many bytes a header takes, as far as its first ones tell; no more than these where they are enough, or are no header: who reads the
// file says what is wrong.
std::uint64_t header_bytes(Part part, std::string_view body, std::uint64_t file_bytes) {
  if (part == Part::kGguf) {
    const auto bytes = std::as_bytes(std::span(body.data(), body.size()));
    if (is_whole_gguf_header(bytes, file_bytes)) return body.size();
    return std::min({body.size() * 2, file_bytes, kGgufHeaderLimitBytes});
  }
  if (body.size() < kSafetensorsLengthBytes) return std::min(kSafetensorsLengthBytes, file_bytes);
  const std::uint64_t length = little_endian_u64(body);
  if (length > kSafetensorsHeaderLimitBytes || length > file_bytes - kSafetensorsLengthBytes) return kSafetensorsLengthBytes;
  return kSafetensorsLengthBytes + length;
}

class Fetch {
public:
  Fetch(const RemoteModel& model, const FetchOptions& options, HeadCache cache)
      : model_(model), options_(options), cache_(std::move(cache)), token_(hub_token(options.environment)) {}

  Result<FetchedModel> run() {
    std::vector<Wanted> wanted;
    if (model_.file.empty() && model_.is_hub()) add({.part = Part::kListing, .url = listing_url(model_)}, wanted);
    else if (model_.file.empty()) add_plain_folder(wanted);
    else PLIMSOLL_TRY(add_named_file(wanted));
    Result<void> done = transfer(
        std::move(wanted), options_.limits,
        [this](const Wanted& asked, Got&& got, std::vector<Wanted>& more) { return take(asked, std::move(got), more); },
        [this](std::uint64_t received_bytes) {
          received_bytes_ = received_bytes;
          tell(false);
        });
    tell(true);
    PLIMSOLL_TRY(done);
    return placed();
  }

private:
  std::string url_of(const std::string& name) const { return model_.folder_url + escaped_path(name); }

  void add(File file, std::vector<Wanted>& wanted) {
    const bool whole = file.part == Part::kWhole || file.part == Part::kIndex || file.part == Part::kListing;
    if (file.part != Part::kListing) file.known = cache_.find(file.url);
    Wanted one;
    one.url = file.url;
    one.whole = whole;
    one.most_bytes = file.part == Part::kIndex  ? kIndexLimitBytes
                     : whole                    ? kMostWhole
                     : file.part == Part::kGguf ? kFirstGguf
                                                : first_bytes_;
    if (file.known) one.known_etag = file.known->etag;
    one.token = token_for(file.url, model_, token_);
    one.file = files_.size();
    wanted.push_back(std::move(one));
    files_.push_back(std::make_unique<File>(std::move(file)));
  }

  // A folder of any server, which lists nothing: what a checkpoint usually has is asked for.
  void add_plain_folder(std::vector<Wanted>& wanted) {
    add({.part = Part::kWhole, .name = "config.json", .url = url_of("config.json")}, wanted);
    add({.part = Part::kWhole, .name = "hf_quant_config.json", .url = url_of("hf_quant_config.json"), .may_be_absent = true}, wanted);
    add({.part = Part::kIndex,
         .name = "model.safetensors.index.json",
         .url = url_of("model.safetensors.index.json"),
         .may_be_absent = true},
        wanted);
    add({.part = Part::kSafetensors, .name = "model.safetensors", .url = url_of("model.safetensors"), .may_be_absent = true}, wanted);
  }

  // A GGUF file with the others of its family, or a config.
  Result<void> add_named_file(std::vector<Wanted>& wanted) {
    start_ = model_.file;
    if (!model_.file.ends_with(".gguf")) {
      add({.part = Part::kWhole, .name = model_.file, .url = url_of(model_.file)}, wanted);
      if (model_.file == "config.json")
        add({.part = Part::kWhole, .name = "hf_quant_config.json", .url = url_of("hf_quant_config.json"), .may_be_absent = true}, wanted);
      return {};
    }
    const auto numbered = parse_shard_name(model_.file);
    if (!numbered) {
      add({.part = Part::kGguf, .name = model_.file, .url = url_of(model_.file)}, wanted);
      return {};
    }
    if (numbered->count > kMostParts || numbered->number > numbered->count)
      return fail(ErrorCode::kBadRequest, fmt::format("a model in {} parts was not expected, but at most {}", numbered->count, kMostParts),
                  url_of(model_.file));
    for (std::uint32_t i = numbered->number == 0 ? 0 : 1; i < numbered->count + (numbered->number == 0 ? 0 : 1); ++i) {
      const std::string name = with_number(*numbered, i);
      add({.part = Part::kGguf, .name = name, .url = url_of(name)}, wanted);
    }
    return {};
  }

  // What a repository lists, once all pages are there.
  Result<void> add_chosen(std::vector<Wanted>& wanted) {
    PLIMSOLL_ASSIGN(const Chosen chosen, choose_files(model_, listed_));
    const auto url = [this](const RepositoryFile& file) {
      return fmt::format("{}/{}/resolve/{}/{}", model_.endpoint, model_.repository, escaped_path(model_.revision, true),
                         escaped_path(file.path));
    };
    const auto name = [this, &chosen](const RepositoryFile& file) {
      return chosen.gguf ? file.path.substr(file.path.rfind('/') + 1) : file.path.substr(model_.folder.size());
    };
    const auto add_listed = [&](Part part, const RepositoryFile& file) {
      add({.part = part, .name = name(file), .url = url(file), .listed_bytes = file.bytes}, wanted);
    };
    if (chosen.whole.size() + chosen.shards.size() > kMostFiles)
      return fail(ErrorCode::kBadRequest, fmt::format("the model has {} files, expected at most {}", chosen.shards.size(), kMostFiles),
                  model_.folder_url);
    for (const RepositoryFile& file : chosen.whole) add_listed(Part::kWhole, file);
    if (chosen.index) add_listed(Part::kIndex, *chosen.index);
    for (const RepositoryFile& file : chosen.shards) add_listed(chosen.gguf ? Part::kGguf : Part::kSafetensors, file);
    for (const RepositoryFile& file : chosen.projectors) add_listed(Part::kGguf, file);
    if (chosen.gguf) start_ = name(chosen.shards.front());
    return {};
  }

  // The shards that an index names.
  Result<void> add_shards(const std::string& index_url, const std::string& text, std::vector<Wanted>& wanted) {
    PLIMSOLL_ASSIGN(const IndexSummary index, parse_safetensors_index(text, index_url));
    if (index.shards.size() > kMostFiles)
      return fail(ErrorCode::kBadCheckpoint, fmt::format("the index names {} files, expected at most {}", index.shards.size(), kMostFiles),
                  index_url);
    // A header says of each tensor half as much again as the index does.
    if (!index.shards.empty())
      first_bytes_ = std::clamp<std::uint64_t>(text.size() / index.shards.size() * 3 / 2 + 4'096, 1U << 14, kMostFirstSafetensors);
    for (const std::string& shard : index.shards) {
      if (!is_safe_path(shard) || shard == "config.json")
        return fail(ErrorCode::kBadCheckpoint, fmt::format("the index names {}, which is no file of a model", quoted_name(shard)),
                    index_url);
      if (std::any_of(files_.begin(), files_.end(), [&](const auto& file) { return file->name == shard; })) continue;
      std::optional<std::uint64_t> bytes;
      if (!listed_.empty()) {
        const auto listed =
            std::find_if(listed_.begin(), listed_.end(), [&](const auto& file) { return file.path == model_.folder + shard; });
        if (listed == listed_.end())
          return fail(ErrorCode::kBadCheckpoint, fmt::format("the index names {}, which the repository lacks", quoted_name(shard)),
                      index_url);
        bytes = listed->bytes;
      }
      add({.part = Part::kSafetensors, .name = shard, .url = url_of(shard), .listed_bytes = bytes}, wanted);
    }
    return {};
  }

  Result<void> take(const Wanted& asked, Got&& got, std::vector<Wanted>& more) {
    File& file = *files_[asked.file];
    if (got.status == 304 && file.known) return take_whole_head(file, *file.known, more);
    const bool is_absent = got.status == 404 || got.status == 410 || (got.status == 403 && !model_.is_hub());
    if (file.may_be_absent && is_absent) {
      ++done_;
      return {};
    }
    if (got.status != 200 && got.status != 206) return refused(file, got);
    if (file.part == Part::kListing) return take_listing(file, std::move(got), more);
    if (asked.whole && got.more)
      return fail(ErrorCode::kBadRequest, fmt::format("the file is larger than {} bytes, which none of its kind is", asked.most_bytes),
                  shown_url(file.url));
    if (!got.size_known)
      return fail(ErrorCode::kBadRequest, "the server does not say how long the file is; give a URL of one that does", shown_url(file.url));
    if (got.file_bytes > kMostFileBytes)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("the server says that the file has {} bytes, which no file of a model has", got.file_bytes),
                  shown_url(file.url));
    if (file.body.empty()) file.etag = got.etag;
    else if (file.etag != got.etag)
      return fail(ErrorCode::kBadRequest, "the file changed while it was read; try again", shown_url(file.url));
    if (file.listed_bytes && *file.listed_bytes != got.file_bytes)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("the file has {} bytes, and the repository lists it with {}; try again", got.file_bytes, *file.listed_bytes),
                  shown_url(file.url));
    if (got.body.empty() && got.file_bytes > file.body.size())
      return fail(ErrorCode::kBadRequest, "nothing came of what was asked for; try again", shown_url(file.url));
    file.body += got.body;
    if (!asked.whole) {
      const std::uint64_t needed = header_bytes(file.part, file.body, got.file_bytes);
      if (needed > file.body.size()) {
        Wanted rest = asked;
        rest.offset_bytes = file.body.size();
        rest.most_bytes = needed - file.body.size();
        rest.known_etag.clear();
        more.push_back(std::move(rest));
        return {};
      }
      file.body.resize(static_cast<std::size_t>(needed));
    }
    PLIMSOLL_ASSIGN(Head head, cache_.keep(file.url, file.etag, file.body, got.file_bytes));
    return take_whole_head(file, std::move(head), more);
  }

  Result<void> take_listing(File& page, Got&& got, std::vector<Wanted>& more) {
    if (got.more) return fail(ErrorCode::kBadRequest, "the list of the repository's files is too long", shown_url(page.url));
    PLIMSOLL_TRY(read_listing(std::move(got.body), shown_url(page.url), listed_));
    ++done_;
    if (got.next_page.empty()) return add_chosen(more);
    if (++pages_ == kMostPages || !got.next_page.starts_with(model_.endpoint + "/api/"))
      return fail(ErrorCode::kBadRequest, "the list of the repository's files goes on where none of the hub's does", shown_url(page.url));
    add({.part = Part::kListing, .url = got.next_page}, more);
    return {};
  }

  Result<void> take_whole_head(File& file, Head head, std::vector<Wanted>& more) {
    ++done_;
    file.head = std::move(head);
    std::string text = std::move(file.body);
    file.body = {};
    if (file.part != Part::kIndex) return {};
    if (text.empty()) {
      PLIMSOLL_ASSIGN(text, read_text_file(file.head->path, kIndexLimitBytes, ErrorCode::kBadCheckpoint));
    }
    return add_shards(file.url, text, more);
  }

  // A status that is no answer, in words that say what to do.
  tl::unexpected<Error> refused(const File& file, const Got& got) const {
    const std::string page = fmt::format("{}/{}", model_.endpoint, model_.repository);
    const std::string code = got.error_code.empty() ? "" : fmt::format(" ({})", got.error_code);
    std::string why;
    if (model_.is_hub() && (got.error_code == "GatedRepo" || got.status == 403)) {
      why = fmt::format("the repository is gated: accept its licence at {}, and set HF_TOKEN to a token of that account{}", page,
                        token_.empty() ? "" : "; the token that is set may not read it");
    } else if (model_.is_hub() && got.status == 401) {
      why = fmt::format(
          "the hub knows no such repository, or it is private or gated: look at the name, accept the licence at {}, and set HF_TOKEN{}",
          page, token_.empty() ? "" : "; the token that is set is not taken");
    } else if (model_.is_hub() &&
               (got.error_code == "RepoNotFound" || (got.status == 404 && file.part == Part::kListing && got.error_code.empty()))) {
      why = fmt::format("the hub knows no repository {}, or none that may be read without a token; look at the name",
                        quoted_name(model_.repository));
    } else if (got.error_code == "RevisionNotFound") {
      why = fmt::format("the repository has no revision {}", quoted_name(model_.revision));
    } else if (got.status == 404 || got.status == 410) {
      why = file.name == "config.json" ? "there is no config.json; give the URL of a model's folder, or of a .gguf file"
                                       : "there is no such file; look at the URL";
    } else if (got.status == 401 || got.status == 403) {
      why = fmt::format(
          "the server does not give the file to everybody (status {}); no credentials are sent to it, give a URL that needs none",
          got.status);
    } else if (got.status == 416) {
      why = "the server says that the file ends before its header does; it is empty or truncated";
    } else if (got.status == 429) {
      why = fmt::format("the server asks for fewer requests; try again later{}",
                        model_.is_hub() && token_.empty() ? ", or set HF_TOKEN" : "");
    } else if (got.status >= 500) {
      why = fmt::format("the server fails, {} times now, with status {}; try again later", options_.limits.tries, got.status);
    } else {
      why = fmt::format("a file was expected, and the server answers with status {}", got.status);
    }
    return fail(ErrorCode::kBadRequest, why + code, shown_url(file.url));
  }

  void tell(bool finished) const {
    if (!options_.progress) return;
    FetchProgress progress;
    progress.files_done = done_;
    progress.files = files_.size();
    progress.received_bytes = received_bytes_;
    progress.finished = finished;
    options_.progress(progress);
  }

  Result<FetchedModel> placed() const {
    std::vector<std::pair<std::string, Head>> named;
    for (const auto& file : files_)
      if (file->head) named.emplace_back(file->name, *file->head);
    PLIMSOLL_ASSIGN(const std::string folder, cache_.folder(named));
    cache_.prune();
    return FetchedModel{start_.empty() ? folder : folder + "/" + start_, folder + "/", model_.folder_url};
  }

  const RemoteModel& model_;
  const FetchOptions& options_;
  HeadCache cache_;
  std::string token_;
  std::vector<std::unique_ptr<File>> files_;
  std::vector<RepositoryFile> listed_;
  std::string start_; // the file that planning begins with; empty: the folder
  std::size_t pages_ = 0;
  std::uint64_t done_ = 0, received_bytes_ = 0;
  std::uint64_t first_bytes_ = kFirstSafetensors; // that are asked for of a shard
};

} // namespace

std::string fetch_cache_directory(const LocateOptions& environment) {
  if (const auto cache = environment_value(environment, "XDG_CACHE_HOME")) return *cache + "/plimsoll";
  if (const auto home = environment_value(environment, "HOME")) return *home + "/.cache/plimsoll";
  return {};
}

Result<FetchedModel> fetch_model(const RemoteModel& model, const FetchOptions& options) {
  const std::string directory = fetch_cache_directory(options.environment);
  if (directory.empty())
    return fail(ErrorCode::kBadRequest, "there is no place for what is fetched; set XDG_CACHE_HOME to a folder of yours", "XDG_CACHE_HOME");
  PLIMSOLL_ASSIGN(HeadCache cache, HeadCache::open(directory));
  return Fetch(model, options, std::move(cache)).run();
}

} // namespace plimsoll
