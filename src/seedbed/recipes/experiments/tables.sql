-- The tables of the experiments recipe. Each statement can be repeated.

-- One row for each attempt. A document is never changed; one that was imported is never deleted.
create table if not exists documents (
  doc_id                  text primary key not null check (doc_id <> ''),
  logical_key_id          text not null,
  stage                   text not null check (stage in ('draft', 'essay', 'evaluation')),
  task_id                 text not null,
  parent_doc_id           text references documents (doc_id),
  template_id             text,
  model_id                text,
  run_id                  text,
  parser                  text,
  status                  text not null default 'ok'
    check (status in ('ok', 'truncated', 'parse_error', 'gen_error', 'skipped')),
  usage_prompt_tokens     integer,
  usage_completion_tokens integer,
  usage_max_tokens        integer,
  created_at              text not null default (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
  doc_dir                 text not null,
  raw_chars               integer,
  parsed_chars            integer,
  content_hash            text,
  meta_small              json,
  lineage_prev_doc_id     text
);
create index if not exists documents_by_logical on documents (logical_key_id, created_at desc);
create index if not exists documents_by_stage on documents (stage, created_at desc);
create index if not exists documents_by_task on documents (stage, task_id, created_at desc);
create index if not exists documents_by_parent on documents (parent_doc_id, created_at desc);
create index if not exists documents_by_content on documents (content_hash);

-- The row of a table that a document was imported from: what tells that it was.
create table if not exists document_sources (
  doc_id              text primary key not null references documents (doc_id),
  run_id              text not null,
  source_table        text not null,
  row_index           integer not null,
  timestamp           text not null,
  combo_id            text not null,
  response_file       text not null,
  prompt_file         text,
  raw_bytes           integer not null,
  response_size_bytes text,
  unique (run_id, source_table, row_index, timestamp)
);

-- How a document's parent was found, and how sure that is.
create table if not exists document_links (
  doc_id        text primary key not null references documents (doc_id),
  parent_doc_id text references documents (doc_id),
  found_by      text not null,
  certainty     text not null
    check (certainty in ('confirmed', 'stated', 'inferred', 'ambiguous', 'contradicted', 'guessed', 'decided', 'none')),
  candidates    integer not null
);

create table if not exists document_findings (
  doc_id  text not null references documents (doc_id),
  code    text not null,
  message text not null,
  primary key (doc_id, code)
) without rowid;

-- Texts that lie in no folder: of a packed import, and of documents that a stage has made.
create table if not exists document_texts (
  doc_id   text primary key not null references documents (doc_id),
  raw      blob not null,
  parsed   blob,
  prompt   blob,
  metadata text not null
);

-- What each logical key was made of, so that two that only look the same are told apart.
create table if not exists logical_keys (
  logical_key_id text primary key not null,
  parts          json not null
) without rowid;

-- Rows of the bad list that were taken or set aside after all, by whom, and by which rule.
create table if not exists repairs (
  run_id       text not null,
  source_table text not null,
  row_index    integer not null,
  timestamp    text not null,
  task_id      text not null,
  reason       text not null,
  decision     text not null check (decision in ('taken', 'set_aside')),
  origin       text not null check (origin in ('heuristic', 'person')),
  rule         text not null,
  doc_id       text references documents (doc_id),
  note         text not null default '',
  decided_at   text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  primary key (run_id, source_table, row_index, timestamp)
) without rowid;

-- Templates that the archive lists; wanted ones may be asked of a model.
create table if not exists templates (
  id          text primary key not null,
  stage       text not null check (stage in ('draft', 'essay', 'evaluation')),
  template_id text not null,
  text        text not null default '',
  wanted      integer not null default 1 check (wanted in (0, 1)),
  unique (stage, template_id)
);

create table if not exists archive (
  name  text primary key not null,
  value text not null
) without rowid;

create trigger if not exists documents_are_not_changed before update on documents begin
  select raise(abort, 'a document is never changed');
end;

create trigger if not exists imported_documents_are_kept before delete on documents
when exists (select 1 from document_sources where document_sources.doc_id = old.doc_id) begin
  select raise(abort, 'a document that was imported is never deleted');
end;

-- ------------------------------------------------------------- what stages make becomes a document

create table if not exists generations (
  id             text primary key not null,
  doc_id         text not null unique,
  logical_key_id text not null,
  stage          text not null check (stage in ('essay', 'evaluation')),
  task_id        text not null,
  parent_doc_id  text not null references documents (doc_id),
  template_id    text not null,
  model_id       text not null,
  content_hash   text not null,
  text           text not null,
  prompt         text,
  score          real check (score is null or score between 0 and 10),
  score_rule     text,
  cost_nano      integer check (cost_nano is null or cost_nano >= 0)
);
create index if not exists generations_by_parent on generations (parent_doc_id, template_id);

create trigger if not exists generations_become_documents after insert on generations begin
  insert into documents
    (doc_id, logical_key_id, stage, task_id, parent_doc_id, template_id, model_id, run_id, doc_dir, raw_chars,
     parsed_chars, content_hash, meta_small)
  values
    (new.doc_id, new.logical_key_id, new.stage, new.task_id, new.parent_doc_id, new.template_id, new.model_id,
     'seedbed', new.stage || '/' || new.logical_key_id || '/' || new.doc_id, length(new.text), length(new.text),
     new.content_hash, json_object('generation', new.id, 'score', new.score, 'score_rule', new.score_rule));
  insert into document_texts (doc_id, raw, parsed, prompt, metadata)
  values (new.doc_id, cast(new.text as blob), null, cast(new.prompt as blob), '{}');
  insert into document_links (doc_id, parent_doc_id, found_by, certainty, candidates)
  values (new.doc_id, new.parent_doc_id, 'generated', 'stated', 1);
  insert or ignore into logical_keys (logical_key_id, parts)
  values (new.logical_key_id, json_array(new.stage, new.parent_doc_id, new.template_id, new.model_id));
end;

create trigger if not exists generations_taken_back after delete on generations begin
  delete from document_texts where doc_id = old.doc_id;
  delete from document_links where doc_id = old.doc_id;
  delete from documents where doc_id = old.doc_id;
end;

-- ------------------------------------------------------------------ what the stages select from

create view if not exists documents_latest as
select doc_id, logical_key_id, stage, task_id, parent_doc_id, template_id, model_id, run_id, status, created_at,
       doc_dir, raw_chars, parsed_chars, content_hash, attempts
from (
  select documents.*, count(*) over (partition by stage, logical_key_id) as attempts,
         row_number() over (partition by stage, logical_key_id order by created_at desc, rowid desc) as place
  from documents where status = 'ok'
)
where place = 1;

-- The templates that may be asked of a model; one of seedbed's own where the archive lists none.
create view if not exists templates_to_use as
select stage, template_id, text from templates where wanted
union all
select stages.stage, 'seedbed-' || stages.stage, ''
from (select 'essay' as stage union all select 'evaluation') stages
where not exists (select 1 from templates where templates.stage = stages.stage and wanted);

-- A parent and a template that no document was made of yet. made counts what was made of the parent by any template.
create view if not exists essays_missing as
select drafts.doc_id || ' ' || templates.template_id as id, drafts.doc_id as parent, drafts.task_id,
       drafts.content_hash, templates.template_id as template, templates.text as template_text,
       templates.template_id = (
         select min(template_id) from templates_to_use where stage = 'essay'
       ) as preferred,
       (select count(*) from documents made where made.parent_doc_id = drafts.doc_id and made.stage = 'essay'
          and made.status = 'ok') as made
from documents_latest drafts
join templates_to_use templates on templates.stage = 'essay'
where drafts.stage = 'draft' and not exists (
  select 1 from documents made
  where made.parent_doc_id = drafts.doc_id and made.stage = 'essay' and made.status = 'ok'
    and made.template_id = templates.template_id
);

create view if not exists evaluations_missing as
select essays.doc_id || ' ' || templates.template_id as id, essays.doc_id as parent, essays.task_id,
       essays.content_hash, templates.template_id as template, templates.text as template_text,
       templates.template_id = (
         select min(template_id) from templates_to_use where stage = 'evaluation'
       ) as preferred,
       (select count(*) from documents made where made.parent_doc_id = essays.doc_id and made.stage = 'evaluation'
          and made.status = 'ok') as made
from documents_latest essays
join templates_to_use templates on templates.stage = 'evaluation'
where essays.stage = 'essay' and not exists (
  select 1 from documents made
  where made.parent_doc_id = essays.doc_id and made.stage = 'evaluation' and made.status = 'ok'
    and made.template_id = templates.template_id
);

-- --------------------------------------------------------------------------- what reports show

-- What the index itself tells of a document: whether its text lies in the index, whether a prompt belongs to it,
-- and whether its parent is there. `seedbed documents consistency` looks at the folders too.
create view if not exists documents_consistency as
select documents.doc_id, documents.stage, documents.task_id, documents.doc_dir,
       document_texts.doc_id is not null as packed,
       coalesce(document_sources.prompt_file is not null, 0) or document_texts.prompt is not null as has_prompt,
       documents.parent_doc_id is not null and parents.doc_id is null as missing_parent,
       documents.stage <> 'draft' and documents.parent_doc_id is null as no_parent
from documents
left join document_texts on document_texts.doc_id = documents.doc_id
left join document_sources on document_sources.doc_id = documents.doc_id
left join documents parents on parents.doc_id = documents.parent_doc_id;

create view if not exists documents_duplicates as
select content_hash as id, count(*) as documents, count(distinct task_id) as tasks, group_concat(distinct stage) as stages,
       json_group_array(doc_id) as doc_ids
from documents
where content_hash is not null
group by content_hash
having count(*) > 1;

-- A link is broken where the parent is gone, where it was taken without one, or where its prompt holds another text.
create view if not exists documents_broken_chains as
select documents.doc_id as id, documents.stage, documents.task_id, documents.parent_doc_id,
       case when documents.parent_doc_id is null then 'no parent'
            when parents.doc_id is null then 'the parent is not in the index'
            else 'the stored prompt does not hold the text of the parent' end as what
from documents
left join documents parents on parents.doc_id = documents.parent_doc_id
left join document_links on document_links.doc_id = documents.doc_id
where documents.stage <> 'draft'
  and (parents.doc_id is null or document_links.certainty = 'contradicted');

create view if not exists templates_unused as
select id, stage, template_id
from templates
where not exists (
  select 1 from documents where documents.stage = templates.stage and documents.template_id = templates.template_id
);

create view if not exists links_by_certainty as
select documents.stage || ' ' || found_by || ' ' || certainty as id, documents.stage, found_by, certainty,
       count(*) as documents
from document_links join documents on documents.doc_id = document_links.doc_id
group by documents.stage, found_by, certainty;

-- Where texts lie: the folder of this database, and the folder of the documents as seen from there.
create view if not exists archive_places as
select 1 as id, places.file as index_file,
       (select value from archive where name = 'docs') as docs
from pragma_database_list places where places.name = 'main';
