#include "host/located_model.hpp"

#include <fmt/format.h>

#include "base/regular_file.hpp"
#include "checkpoint/quoted_name.hpp"
#include "remote/hub.hpp"

namespace plimsoll {
namespace {

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

Result<LocatedModel> fetched_model(const RemoteModel& remote, const LocateOptions& options, const RemoteAccess& access) {
  FetchOptions fetch;
  fetch.limits.time = access.timeout;
  fetch.environment = options;
  fetch.progress = access.progress;
  LocatedModel out;
  PLIMSOLL_ASSIGN(out.fetched, fetch_model(remote, fetch));
  Result<ModelFiles> files = locate_model(out.fetched->path, options);
  if (!files) return tl::unexpected(out.with_urls(std::move(files.error())));
  out.files = std::move(*files);
  out.files.headers_only = true;
  return out;
}

} // namespace

Error LocatedModel::with_urls(Error error) const {
  if (!fetched) return error;
  error.message = replaced(std::move(error.message), fetched->folder, fetched->url);
  error.where = replaced(std::move(error.where), fetched->folder, fetched->url);
  return error;
}

Result<LocatedModel> locate_anywhere(const std::string& model, const LocateOptions& options, const RemoteAccess& access) {
  const bool is_url = is_remote(model);
  if (is_url) {
    PLIMSOLL_ASSIGN(const PathKind kind, path_kind(model)); // a folder may be called hf.co
    if (kind == PathKind::kMissing) {
      PLIMSOLL_ASSIGN(const std::string endpoint, hub_endpoint(options));
      PLIMSOLL_ASSIGN(const RemoteModel remote, parse_remote(model, endpoint));
      if (access.online) return fetched_model(remote, options, access);
      Result<ModelFiles> here = locate_model(model, options);
      if (here) return LocatedModel{std::move(*here), std::nullopt};
      if (remote.is_hub()) {
        here.error().message += "; --online fetches it from the hub";
        return tl::unexpected(std::move(here.error()));
      }
      return fail(ErrorCode::kBadRequest, "the model is a URL, and nothing is fetched without --online; add it", quoted_name(model));
    }
  }
  Result<ModelFiles> files = locate_model(model, options);
  if (files) return LocatedModel{std::move(*files), std::nullopt};
  if (files.error().code != ErrorCode::kBadRequest || model.find('/') == std::string::npos) return tl::unexpected(std::move(files.error()));
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(model));
  PLIMSOLL_ASSIGN(const std::string endpoint, hub_endpoint(options));
  const Result<RemoteModel> remote = hub_repository(model, endpoint);
  if (kind != PathKind::kMissing || !remote || remote->repository != model) return tl::unexpected(std::move(files.error()));
  if (!access.online) {
    files.error().message += "; with --online it is looked for on the hub";
    return tl::unexpected(std::move(files.error()));
  }
  return fetched_model(*remote, options, access);
}

} // namespace plimsoll
